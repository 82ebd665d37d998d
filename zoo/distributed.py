"""One training on several devices, or on several processes and hosts, by `keras.distribution` on JAX.

Every device has all weights and a part of the rows of each batch (data parallelism): the loss and the weights are those
of one device, up to rounding. All processes see one folder; the first alone writes.
"""

import keras

DEVICES, PROCESSES = "devices", "processes"
CHOICES = (DEVICES, PROCESSES)


def start(what):
    """Lets what is built and trained from now on use several devices.

    Args:
        what: `"devices"`, all of this process; `"processes"`, all of a cluster, of which each process is told by
            KERAS_DISTRIBUTION_JOB_ADDRESSES (`host:port` of the first), KERAS_DISTRIBUTION_NUM_PROCESSES and
            KERAS_DISTRIBUTION_PROCESS_ID. None for nothing.

    Raises:
        ValueError: the backend is not JAX, or there is only one device.
    """
    if what is None:
        return
    if what not in CHOICES:
        raise ValueError(f"`distribute` must be one of {CHOICES}. Received: {what!r:.100}")
    if keras.backend.backend() != "jax":
        raise ValueError("Several devices are used by JAX: set KERAS_BACKEND=jax.")
    if what == PROCESSES:
        keras.distribution.initialize()
    devices = keras.distribution.list_devices()
    if len(devices) < 2:
        raise ValueError(
            "There is one device only. CPUs count as several with "
            "XLA_FLAGS=--xla_force_host_platform_device_count=2 in the environment."
        )
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False))


def is_first():
    """Whether this is the process that writes."""
    if keras.distribution.distribution() is None:
        return True
    import jax

    return jax.process_index() == 0


def end():
    """Goes back to one device of this process, as for evaluation. Gives whether this process writes."""
    writes = is_first()
    keras.distribution.set_distribution(None)
    return writes


def placed(arrays):
    """Nested arrays, each with its rows spread over the devices; as they are where there is one device."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return arrays
    import jax
    import numpy as np

    mesh = distribution.device_mesh.backend_mesh

    def place(array):
        if isinstance(array, jax.Array) and len(array.sharding.device_set) == mesh.size:
            return array
        array = np.asarray(array)
        rows_fit = array.ndim > 0 and array.shape[0] % mesh.size == 0
        spec = jax.sharding.PartitionSpec(*mesh.axis_names[:1] if rows_fit else ())
        return jax.make_array_from_callback(array.shape, jax.sharding.NamedSharding(mesh, spec), array.__getitem__)

    return jax.tree.map(place, arrays)


def gathered(array):
    """An array as NumPy, wherever its parts are; to be called by all processes."""
    if keras.distribution.distribution() is not None:
        import jax

        if isinstance(array, jax.Array) and not array.is_fully_replicated:
            from jax.experimental import multihost_utils

            return multihost_utils.process_allgather(array, tiled=True)
    return keras.ops.convert_to_numpy(array)
