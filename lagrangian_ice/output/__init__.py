"""Product writers, readers and exports.

The workflow calls one function::

    from lagrangian_ice.output.products import Records, dates_of_streams, write_products
    from lagrangian_ice.output.attributes import Header

    records = Records(
        passes,          # frame, one row a pass
        parcels,         # frame, one row a parcel of all streams
        observations,    # callable: stream (int) -> iterable of frames of whole trajectories,
                         #   in ascending order of parcel_id (then time)
        pairs,           # frame, one row an image pair
        vectors,         # callable: stream (int) -> iterable of frames of vectors
        dates_of_streams(passes, parcels),  # what the names of the files tell
    )
    paths = write_products(
        directory,       # Path; made if it is missing
        header,          # Header(settings=..., weights_sha256=..., history="command line")
        records,
    )                    # -> list of the paths written: _LP.nc, _DP.nc, _PD.nc of every stream

Columns of the frames (times are float64 seconds since 1970, positions EPSG:3413 metres):

``passes``
    pass_index, pass_id, time, start, stop, platform, orbit (-1 unknown), polarisations
    (text, "HH,HV"), scene_ids (tuples of text).
``parcels``
    parcel_id, stream, seed_row, seed_col, birth_time, death_time (NaN: not ended),
    end_reason, n_obs. Parcels that have no observation yet are left out of the product.
``observations``
    parcel_id, pass_index, time, x, y, var_x, var_y, cov_xy (tracking error accumulated since
    birth, m2), mcc, peak_ratio, rotation, q_flag, source_pass_index.
``pairs``
    pair_index, source_pass_index, target_pass_index.
``vectors``
    pair_index, parcel_id, x0, y0, x1, y1, var_x, var_y, cov_xy (of this vector),
    first_guess_x, first_guess_y, first_guess_error, mcc, peak_ratio, rotation, strain_xx,
    strain_yy, strain_xy, status, time0, time1.

The deformation product is computed from the trajectory product that was just written, so that
``deform`` on the file gives the same values. Files are written under a temporary name in the
same folder and moved into place; older files of the same stream that they supersede go.
"""
