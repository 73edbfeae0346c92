"""timeSVD++ and SVD++: rating prediction with biases and vectors that drift."""
