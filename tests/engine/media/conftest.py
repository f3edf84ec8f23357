"""One OpenCV thread a test process: the tests already run side by side."""

import cv2
import pytest


@pytest.fixture(autouse=True, scope="package")
def one_opencv_thread():
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(threads)
