"""TensorFlow as this project uses it: data sets and pictures on the CPU, and never a GPU.

Every other module takes TensorFlow from here (`from data_pipeline.tf_cpu import tf`), so that JAX finds the
accelerators' memory untouched whatever is imported first.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # the native log prints start-up notes otherwise
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # no TensorFlow network runs here, and it prints a note

import tensorflow as tf

tf.config.set_visible_devices([], "GPU")

__all__ = ["tf"]
