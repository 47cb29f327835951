"""The lives of recorded machines: rows and labels of a user's own files, read alike by a training and by a replay."""
