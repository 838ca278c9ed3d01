"""SuperLIM: the network that scores keypoints and describes ice."""
