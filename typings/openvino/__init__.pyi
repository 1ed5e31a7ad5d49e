# What Littoral uses of OpenVINO; it is not installed where types are checked.
import numpy as np
from numpy.typing import NDArray

class Tensor:
    data: NDArray[np.int64]
    def __init__(self, array: NDArray[np.int64]) -> None: ...
