import numpy as np
from numpy.typing import NDArray

class AudioFrame:
    pts: int | None
    def to_ndarray(self) -> NDArray[np.int16]: ...
