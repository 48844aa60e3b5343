"""Imports TensorFlow for data sets and image decoding on the CPU, with every GPU hidden.

All other modules import TensorFlow from here (`from data_pipeline.tf_cpu import tf`), so that it never takes the
accelerator memory that JAX needs.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hides start-up messages of the native log
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # oneDNN prints a message, and no network runs in TensorFlow
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # otherwise TensorFlow imports Keras, which takes a second

import tensorflow as tf

tf.config.set_visible_devices([], "GPU")

__all__ = ["tf"]
