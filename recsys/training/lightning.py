"""The Lightning training loop of a `Trainable`, with early stopping on a ranking metric.

The only module that imports pytorch_lightning. Import it inside `_fit`: it takes two seconds, and only a fit needs it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, final

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from recsys.errors import ConfigError
from recsys.training.parts import Parts
from recsys.training.session import CHECKPOINT, Session
from recsys.training.shares import Share
from recsys.training.trainable import Optimization, Trainable

_DISTRIBUTED: Final = "lightning_fabric.utilities.distributed"
_LONGEST_VALIDATION: Final = timedelta(days=1)


@final
class _Steps(IterableDataset[int]):
    """The step numbers of an epoch; the `Trainable` draws the batches, on its device."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._count))

    def __len__(self) -> int:
        return self._count


@final
class _Module(LightningModule):
    """Wraps a `Trainable` as a LightningModule."""

    def __init__(self, trainable: Trainable, optimization: Optimization) -> None:
        super().__init__()
        self.trainable = trainable
        self.optimization = optimization

    def setup(self, stage: str) -> None:
        self.trainable.share = Share(self.trainer.global_rank, self.trainer.world_size)

    def training_step(self, batch: int, batch_idx: int) -> Tensor:
        loss, parts = self.trainable.loss(self.current_epoch, int(batch))
        if self.trainer.logger is not None:
            self.log_dict(
                {"loss": loss.detach(), **{name: part.detach() for name, part in parts.items()}},
                on_step=False,
                on_epoch=True,
                batch_size=1,
            )
        return loss

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning takes a mapping
        optimizer, optimization = self.optimization.optimizer(self.trainable), self.optimization
        if optimization.schedule == "constant" and not optimization.warm_up:
            return optimizer
        steps = optimization.epochs * self.trainable.steps_per_epoch
        factor = partial(optimization.step_size, steps=steps)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


@final
class _BestEpoch(Callback):
    """Validates after epochs, stores the best parameters, stops after `patience` validations without improvement.

    Unlike Lightning's own callbacks it stores the best parameters in the checkpoint of the last epoch, so an
    interrupted and resumed run ends with the same parameters as an uninterrupted one.
    """

    _STATE = ("best", "best_state", "stale", "epochs_done", "finished")

    def __init__(
        self,
        validate: Callable[[], float] | None,
        health: Callable[[], dict[str, float]] | None,
        optimization: Optimization,
    ) -> None:
        self._validate = validate
        self._health = health
        self._optimization = optimization
        self.best = -float("inf")
        self.best_state: dict[str, Tensor] = {}
        self.stale = 0
        self.epochs_done = 0
        self.finished = False

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, _Module)
        self.epochs_done = trainer.current_epoch + 1
        last = self.epochs_done >= self._optimization.epochs
        if self._validate is not None and (self.epochs_done % self._optimization.validate_every == 0 or last):
            pl_module.trainable.eval()
            # The first process validates for all, so that all stop together; with parts, each does for its own.
            here = trainer.is_global_zero or isinstance(pl_module.trainable, Parts)
            metric = trainer.strategy.broadcast(self._validate() if here else 0.0)
            pl_module.trainable.train()
            pl_module.log("validation", metric, prog_bar=True)
            if metric > self.best:
                self.best, self.stale = metric, 0
                self.best_state = {k: v.detach().cpu().clone() for k, v in pl_module.trainable.state_dict().items()}
            else:
                self.stale += 1
                if self.stale >= self._optimization.patience:
                    trainer.should_stop = last = True
        if self._health is not None and trainer.logger is not None:
            with torch.inference_mode():
                pl_module.log_dict(self._health())
        self.finished = last

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._STATE}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name in self._STATE:
            setattr(self, name, state_dict[name])


@final
class _Summed(DDPStrategy):
    """Lightning's ddp for `Parts`, which add gradients up themselves: there is nothing to wrap."""

    def configure_ddp(self) -> None:
        pass


@final
class _Identity(Callback):
    """Refuses the checkpoint of another run, and processes that would train together on different logs."""

    def __init__(self, identity: str, *, resumed: bool) -> None:
        self.identity = identity
        self._resumed = resumed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        own = self.identity, self._resumed
        if trainer.strategy.broadcast(own) != own:
            raise ConfigError(
                f"process {trainer.global_rank} of {trainer.world_size} has another log, other settings or another "
                "checkpoint than the first; give all the same command, a log that does not change meanwhile, and, to "
                "resume, an output directory that all can read"
            )

    def state_dict(self) -> dict[str, Any]:
        return {"identity": self.identity}


def train(
    trainable: Trainable,
    optimization: Optimization,
    session: Session,
    *,
    identity: str,
    validate: Callable[[], float] | None = None,
    health: Callable[[], dict[str, float]] | None = None,
) -> int:
    """Minimise the loss of a `Trainable` in place and return the number of epochs run.

    With `validate`, the parameters of the best validated epoch are restored at the end, else the last ones are kept.
    Ctrl-C leaves the last complete epoch's checkpoint in `session.directory`; the same call with `resume` goes on from
    it and ends with bit-identical parameters.

    Args:
        trainable: network, data and loss.
        optimization: epochs, step size, patience.
        session: where to write, whether to resume.
        identity: a text that changes whenever configuration or data do.
        validate: a metric to maximise.
        health: further figures to log after each epoch.

    Raises:
        ConfigError: the checkpoint to resume from belongs to another configuration or other data, or one of several
            processes does.
        KeyboardInterrupt: the user interrupted the training.
    """
    best = _BestEpoch(validate, health, optimization)
    checkpoint = None if session.directory is None else session.directory / CHECKPOINT
    resume_from = checkpoint if session.resume and checkpoint is not None and checkpoint.exists() else None
    if resume_from is not None:
        best.load_state_dict(_read_checkpoint(resume_from, identity))
    if not best.finished:
        module, own = _Module(trainable, optimization), _Identity(identity, resumed=resume_from is not None)
        trainer = _trainer(optimization, session, trainable, [best, own])
        with warnings.catch_warnings():
            # The loader only yields step numbers, so workers could only slow it down.
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            warnings.filterwarnings("ignore", ".*IterableDataset.*has `__len__` defined.*")
            warnings.filterwarnings("ignore", ".*isinstance.*LeafSpec.*")
            # Every process has the same losses, and the first alone logs.
            warnings.filterwarnings("ignore", ".*sync_dist=True.*")
            warnings.filterwarnings("ignore", ".*`broadcast_buffers` is deprecated.*")
            warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
            loader = DataLoader(_Steps(trainable.steps_per_epoch), batch_size=None)
            try:
                trainer.fit(module, loader, ckpt_path=resume_from, weights_only=True)
            except SystemExit:
                # Lightning turns Ctrl-C into an exit; the caller decides how to end.
                if trainer.interrupted:
                    raise KeyboardInterrupt from None
                raise
    if best.best_state:
        trainable.load_state_dict(best.best_state)
    trainable.eval()
    return best.epochs_done


def _trainer(optimization: Optimization, session: Session, trainable: Trainable, callbacks: list[Callback]) -> Trainer:
    loggers: list[CSVLogger | TensorBoardLogger] = []
    if session.directory is not None:
        if session.is_first:
            session.directory.mkdir(parents=True, exist_ok=True)
        callbacks.append(
            ModelCheckpoint(
                session.directory,
                filename=Path(CHECKPOINT).stem,
                save_on_train_epoch_end=True,
                enable_version_counter=False,
            )
        )
        version = "" if not session.resume else "resumed"
        loggers = [
            CSVLogger(session.directory, name="csv", version=version),
            TensorBoardLogger(session.directory, name="tensorboard", version=version),
        ]
    if session.progress:
        callbacks.append(TQDMProgressBar(refresh_rate=20))
    for name in ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators.cuda", _DISTRIBUTED):
        logging.getLogger(name).setLevel(logging.WARNING)
    strategy: str | DDPStrategy = "auto"
    if session.is_parallel:
        # Buffers hold the log, which is the same everywhere. Others wait while the first validates.
        kind = _Summed if isinstance(trainable, Parts) else DDPStrategy
        strategy = kind(broadcast_buffers=False, timeout=_LONGEST_VALIDATION)
    return Trainer(
        accelerator=session.accelerator,
        devices=session.devices,
        num_nodes=session.nodes,
        strategy=strategy,
        use_distributed_sampler=False,
        max_epochs=optimization.epochs,
        gradient_clip_val=optimization.clip or None,
        logger=loggers or False,
        callbacks=callbacks,
        enable_checkpointing=session.directory is not None,
        enable_progress_bar=session.progress,
        enable_model_summary=False,
        log_every_n_steps=min(50, trainable.steps_per_epoch),
        num_sanity_val_steps=0,
    )


def _read_checkpoint(path: Path, identity: str) -> dict[str, Any]:
    try:
        callbacks = torch.load(path, map_location="cpu", weights_only=True)["callbacks"]
    except Exception as error:
        raise ConfigError(f"{path}: not a readable checkpoint ({error}); delete it to train from the start") from error
    if callbacks[_Identity.__qualname__]["identity"] != identity:
        raise ConfigError(
            f"{path}: this checkpoint was written with another configuration or other data; "
            "give another output directory, or drop the resume option to train from the start"
        )
    state: dict[str, Any] = callbacks[_BestEpoch.__qualname__]
    return state
