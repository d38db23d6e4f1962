"""A loader's batches as the tensors of frameworks: the methods of `ClipLoader`, which import theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    import tensorflow as tf

    from fastclips.adapters.jax import JaxBatches
    from fastclips.adapters.torch import TorchBatches
    from fastclips.serving.batches import Batches

__all__ = ["InFrameworks"]


class InFrameworks:
    """Mixin of a loader."""

    channels_first = False

    def to_tf_dataset(
        self,
        map: Callable[..., Any] | None = None,  # noqa: A002 - as `tf.data.Dataset` and the builtin name it
    ) -> tf.data.Dataset:
        """Return a `tf.data.Dataset` that serves one epoch in each iteration.

        TensorFlow copies no pixels: tensors share the loader's memory. See `fastclips.adapters.tf` for an
        example.

        Parameters
        ----------
        map : callable, optional
            Function of the NumPy arrays of each batch, ``map(x)``, ``map(x, y)`` or ``map(x, y, weight)``,
            which returns x, (x, y) or (x, y, weight).

        Returns
        -------
        tf.data.Dataset
            Batches as the loader serves them, or as `map` returns them, as tensors.
        """
        from fastclips.adapters.tf import to_tf_dataset  # noqa: PLC0415 - TensorFlow is an extra

        return to_tf_dataset(cast("Batches", self), map)

    def to_torch(
        self,
        device: Any = None,  # noqa: ANN401 - whatever torch takes as a device
        layout: Literal["BTHWC", "BTCHW", "BCTHW"] = "BTHWC",
        map: Callable[..., Any] | None = None,  # noqa: A002 - as above
    ) -> TorchBatches:
        """Return the batches as tensors of torch: an iterable dataset, each iteration one epoch.

        CPU tensors share the loader's memory. For a GPU, the next batch is copied from pinned memory on a
        stream of its own while the model works.

        Parameters
        ----------
        device : torch.device or str, optional
            Where the tensors are; on the CPU by default. Pixels travel as the loader gives them: bytes,
            unless `transforms` make them floats.
        layout : {"BTHWC", "BTCHW", "BCTHW"}
            Order of the axes of arrays with five: batch, time, height, width and channels. Another order
            than the loader's is a view; BCTHW of BTHWC is torch's ``channels_last_3d``.
        map : callable, optional
            Function of the NumPy arrays of each batch, as for `to_tf_dataset`.

        Returns
        -------
        TorchBatches
            With ``len()``, `set_epoch`, and `state_dict` and `load_state_dict`, which count the batches
            that were handed out. It needs no `DataLoader`; ``DataLoader(batches, batch_size=None)`` works.

        Raises
        ------
        OptionError
            If an argument is out of range, torch finds no such device, or this process is one of several
            ranks and the loader is not.
        ImportError
            If torch is not installed.

        Examples
        --------
        >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=8, workers=0)
        >>> batches = loader.to_torch(layout="BCTHW")  # doctest: +SKIP
        >>> for clips, labels in batches:  # doctest: +SKIP
        ...     loss = train(clips.float() / 255, labels)
        """
        from fastclips.adapters.torch import TorchBatches  # noqa: PLC0415 - torch is not our dependency

        return TorchBatches(cast("Batches", self), device, layout, map, channels_first=self.channels_first)

    def to_jax(
        self,
        sharding: Any = None,  # noqa: ANN401 - a jax.sharding.Sharding
        map: Callable[..., Any] | None = None,  # noqa: A002 - as above
    ) -> JaxBatches:
        """Return the batches as arrays of JAX, put on the devices one batch ahead.

        Parameters
        ----------
        sharding : jax.sharding.Sharding, optional
            How batches lie on devices, such as ``NamedSharding(mesh, PartitionSpec("data"))``. Each process
            gives the rows of its rank. By default, batches go to JAX's default device.
        map : callable, optional
            Function of the NumPy arrays of each batch, as for `to_tf_dataset`.

        Returns
        -------
        JaxBatches
            An iterable, each iteration one epoch, with ``len()``, `set_epoch`, and `state_dict` and
            `load_state_dict`, which count the batches that were handed out.

        Raises
        ------
        OptionError
            If `sharding` is none of JAX, or `map` is not a function.
        ImportError
            If JAX is not installed.

        Examples
        --------
        >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=8, workers=0)
        >>> for clips, labels in loader.to_jax():  # doctest: +SKIP
        ...     state = train_step(state, clips, labels)
        """
        from fastclips.adapters.jax import JaxBatches  # noqa: PLC0415 - JAX is not our dependency

        return JaxBatches(cast("Batches", self), sharding, map)
