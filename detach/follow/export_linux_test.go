package follow

const BlockSize = blockSize

var LastLines = lastLines
