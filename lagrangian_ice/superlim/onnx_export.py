"""The network as an ONNX file, for runtimes other than torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from lagrangian_ice.errors import WeightsError, reason_of
from lagrangian_ice.files import in_place
from lagrangian_ice.superlim.features import DESCRIPTOR_SIZE, STRIDE
from lagrangian_ice.superlim.network import HARMONICS, SuperLIM

if TYPE_CHECKING:
    import onnx

OPSET = 17
IR_VERSION = 8
"""Of the file format: the first with this operator set, so that old runtimes read it too."""


def export_onnx(network: SuperLIM, path: Path) -> None:
    """Write a network with its topology and SHA-256 in the metadata.

    Input ``image`` (batch, inputs, rows, cols) float32, scaled, rows and columns multiples of
    8; for a network with a rotation input also ``rotation`` (batch,) float32, degrees. Outputs
    ``logits`` (batch, 65, rows / 8, cols / 8) and ``descriptors`` (batch, 256, rows / 8,
    cols / 8), of unit length along axis 1.

    Parameters
    ----------
    network : SuperLIM
        In evaluation mode.
    path : Path
        File to write; appears only when complete.

    Raises
    ------
    WeightsError
        If the package ``onnx`` is missing or the file cannot be written.
    """
    try:
        import onnx
    except ImportError:
        raise WeightsError(
            f"{path}: ONNX files need the package onnx; install lagrangian-ice[onnx]"
        ) from None
    graph = _Graph()
    features = graph.blocks("backbone", _blocks(network.backbone), "image")
    logits = graph.blocks("detector", list(network.detector.children()), features)
    first, last = network.descriptor.children()
    conv, *behind = first.children()
    raw = graph.blocks("descriptor.conv", [conv], features)
    if network.modulation is not None:
        raw = graph.modulated(network.modulation, raw)
    raw = graph.blocks("descriptor", [nn.Sequential(*behind), last], raw)
    graph.add("Identity", [logits], "logits")
    graph.add("LpNormalization", [raw], "descriptors", axis=1, p=2)
    model = _model(graph, network)
    onnx.checker.check_model(model, full_check=True)
    try:
        with in_place(path) as beside:
            beside.write_bytes(model.SerializeToString())
    except OSError as error:
        raise WeightsError(f"{path}: cannot be written ({reason_of(error)})") from None


@dataclass
class _Graph:
    """Nodes and tensors so far."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    tensors: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def tensor(self, name: str, value: Tensor) -> str:
        from onnx import numpy_helper

        array = np.ascontiguousarray(value.detach().cpu().numpy())
        self.tensors.append(numpy_helper.from_array(array, name))
        return name

    def blocks(self, name: str, blocks: Sequence[nn.Module], at: str) -> str:
        """Chain of blocks and poolings; returns the name of what comes out."""
        for number, block in enumerate(blocks):
            layers = [layer for layer in block.modules() if not list(layer.children())]
            for order, layer in enumerate(layers):
                at = self._layer(f"{name}.{number}.{order}.{type(layer).__name__}", layer, at)
        return at

    def modulated(self, modulation: nn.Linear, at: str) -> str:
        """Scale and shift by the input ``rotation``, as :meth:`SuperLIM.modulated` does."""
        turns = torch.deg2rad(torch.arange(1.0, HARMONICS + 1))
        axes = self.tensor("told.axes", torch.tensor([1, 2, 3]))
        column = self.add("Unsqueeze", ["rotation", axes], "told.column")
        planes = turns.reshape(1, HARMONICS, 1, 1)
        angles = self.add("Mul", [column, self.tensor("told.turns", planes)], "told.angles")
        cosine = self.add("Cos", [angles], "told.cosine")
        less = self.add("Sub", [cosine, self.tensor("told.one", torch.ones(1))], "told.less")
        sine = self.add("Sin", [angles], "told.sine")
        told = self.add("Concat", [less, sine], "told", axis=1)
        scales, shifts = modulation.weight[:, :, None, None].chunk(2)
        unchanged = self.tensor("scale.unchanged", torch.ones(len(scales)))
        scale = self.add("Conv", [told, self.tensor("scale.weight", scales), unchanged], "scale")
        shift = self.add("Conv", [told, self.tensor("shift.weight", shifts)], "shift")
        return self.add("Add", [self.add("Mul", [at, scale], "scaled"), shift], "modulated")

    def _layer(self, name: str, layer: nn.Module, at: str) -> str:
        if isinstance(layer, nn.Conv2d):
            parts = [self.tensor(f"{name}.{k}", v) for k, v in layer.state_dict().items()]
            pad = layer.kernel_size[0] // 2
            return self.add("Conv", [at, *parts], name, pads=[pad] * 4, group=layer.groups)
        if isinstance(layer, nn.BatchNorm2d):
            kept = ("weight", "bias", "running_mean", "running_var")
            parts = [self.tensor(f"{name}.{k}", layer.state_dict()[k]) for k in kept]
            return self.add("BatchNormalization", [at, *parts], name, epsilon=layer.eps)
        if isinstance(layer, nn.ReLU):
            return self.add("Relu", [at], name)
        if isinstance(layer, nn.MaxPool2d):
            return self.add("MaxPool", [at], name, kernel_shape=[2, 2], strides=[2, 2])
        if isinstance(layer, nn.Identity):
            return at
        raise ValueError(f"layer {layer} has no ONNX form here")


def _blocks(stages: nn.Sequential) -> list[nn.Module]:
    return [block for stage in stages.children() for block in stage.children()]


def _model(graph: _Graph, network: SuperLIM) -> onnx.ModelProto:
    import onnx
    from onnx import helper

    float32 = onnx.TensorProto.FLOAT

    def described(name: str, channels: int, rows: str, cols: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, float32, ["batch", channels, rows, cols])

    inputs = [described("image", network.topology.inputs, "rows", "cols")]
    if network.modulation is not None:
        inputs.append(helper.make_tensor_value_info("rotation", float32, ["batch"]))
    made = helper.make_graph(
        graph.nodes,
        "SuperLIM",
        inputs,
        [
            described("logits", STRIDE**2 + 1, "cell_rows", "cell_cols"),
            described("descriptors", DESCRIPTOR_SIZE, "cell_rows", "cell_cols"),
        ],
        graph.tensors,
    )
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    helper.set_model_props(
        model,
        {"topology": network.topology.model_dump_json(), "weights_sha256": network.sha256},
    )
    return model
