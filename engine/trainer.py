"""The one training loop. It knows a paper only through the hooks of losses.base.Criterion."""

import contextlib
import math
import sys
import time

import numpy as np
from tqdm import tqdm

from core.contracts import Batch, Out
from core.errors import COPY, UserError
from core.files import write_atomic
from core.gluon_internals import to_device
from core.runtime import autograd, mx, nd
from core.text import count
from datasets.loader import sequential
from engine import checkpoint
from engine.chunks import Chunks, mixes
from engine.decay import DecayWatch
from engine.interrupts import Interrupted, Signals
from engine.loss_scale import LossScale
from engine.progress import Progress
from engine.schedule import Average, EarlyStopping, Position, check_epochs
from engine.update import Update
from engine.workers import Alone


class NotFinite(UserError):
    """The loss or the weights are NaN or infinite."""


class Trainer:
    """Trains a network with a criterion.

    Parameters
    ----------
    net : models.EmbeddingNet
    criterion : losses.base.Criterion
    loader : datasets.loader.Loader of the training set, with the transform of training
    sampler : samplers.base.Sampler
    schedule : engine.schedule.Schedule
    optimizer : (name, keyword arguments), see engine.optimizers.settings
    run : engine.run.Run
    evaluate : callable(epoch) -> {'test': {'recall': {'1': ...}, ...}} and, with classes held out, 'val'
    embed_train : callable() -> float32 (N, D) embeddings of the training set, in evaluation mode
    keeps : the network that checkpoints hold, when `net` is a part of it; None: net
    ctx : list of MXNet contexts; embeddings are gathered on the first one before the loss
    epochs, start_epoch : training runs from epoch `start_epoch` up to `epochs`, which is not reached
    train_iters : stop at this iteration; 0: by epochs
    early_stopping : stop when the epoch loss has not improved for this many epochs; 0: never
    seed : of the batches, dropout and sampled pairs
    start_loader, start_batch_size : of the start-up pass that some papers make; None: the pictures of training
    eval_epoch_term, save_epoch_term : epochs between two evaluations, and two checkpoints
    eval_iter_term : iterations between two evaluations, which then come in the middle of epochs; 0: by epochs
    summary_step : iterations between two points of the curves
    caffe_iter_size : batches whose gradients are averaged before one update
    grad_chunk : images that the network runs at once, see engine.chunks; 0: the whole batch
    kvstore : how gradients of several devices are summed: device, local or none
    workers : engine.workers.Workers of a distributed run, whose loader reads this worker's share of each batch
    loss_scale : factor on the loss before the backward pass, see engine.loss_scale.LossScale; None: none
    """

    def __init__(self, net, criterion, loader, sampler, schedule, optimizer, run, *, evaluate, embed_train, keeps=None,
                 ctx=None, epochs, start_epoch=0, train_iters=0, early_stopping=0, seed=0, start_loader=None,
                 start_batch_size=100, eval_epoch_term=1, eval_iter_term=0, save_epoch_term=1, summary_step=10,
                 caffe_iter_size=1, grad_chunk=0, kvstore='device', workers=None, loss_scale=None):
        check_epochs(start_epoch, epochs)
        self.net, self.criterion, self.loader, self.sampler = net, criterion, loader, sampler
        self.keeps = net if keeps is None else keeps
        self.schedule, self.run, self.ctx = schedule, run, ctx or [mx.cpu()]
        self.evaluate, self.embed, self.workers = evaluate, embed_train, workers or Alone()
        self.epochs, self.start_epoch, self.train_iters, self.seed = epochs, start_epoch, train_iters, seed
        self.start_loader, self.start_batch_size = start_loader or loader, start_batch_size
        self.eval_epoch_term, self.save_epoch_term = eval_epoch_term, save_epoch_term
        self.eval_iter_term = eval_iter_term
        self.summary_step, self.caffe_iter_size = summary_step, caffe_iter_size
        self.draws = getattr(net, 'draws', True) or criterion.draws
        self.stopping, self.plans, self.saved = EarlyStopping(early_stopping), None, None
        self.chunks = Chunks(self.forward, grad_chunk) if grad_chunk else None
        if self.chunks and mixes(net):
            print('note: --grad_chunk: BatchNorm takes the statistics of each chunk; with --freeze_bn the gradient '
                  'would be that of the whole batch')
        self.update = Update(net, criterion, optimizer, caffe_iter_size,
                             kvstore if kvstore in ('device', 'local') and len(self.ctx) > 1 else None,
                             adds=bool(grad_chunk), workers=self.workers)
        self.decay, self.scale = DecayWatch(self.update), LossScale(loss_scale)
        self.state = {'epoch': start_epoch, 'step': 0, 'iteration': 0, 'started': False, 'loss_sum': 0.0,
                      'loss_count': 0, 'seconds': 0.0, 'images': 0, 'best': {}, 'last': {}, 'epoch_loss': None,
                      'wait_seconds': 0.0, 'num_classes': loader.split.num_classes}
        self.progress = Progress(run, self.state, (epochs, train_iters))

    def resume(self, folder, allow_pickle=False):
        """Go on from a checkpoint; see engine.checkpoint.restore for allow_pickle."""
        try:
            state, self.plans = checkpoint.restore(folder, self.keeps, self.criterion, self.ctx, self.update,
                                                   allow_pickle)
            self.schedule.restore(state.get('schedule') or self.schedule.state())
            self.stopping.restore(state.get('stopping') or self.stopping.state())
            self.scale.restore(state.get('loss_scale') or self.scale.state())
        except UserError:
            raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise UserError(f'{folder}/state.json is damaged: what it says of the optimizers, the schedule and early '
                            f'stopping does not fit this run ({error!r}). {COPY}') from error
        self.state.update(state, started=True)
        if not self.finished:       # a sampler may refuse the new flags: before anything in the run folder is changed
            self.plans = self.plans or self.plan(state['epoch'])
        self.run.rewind(state)

    def save(self, *names):
        """Write the checkpoint under each of `names`, 'last' and 'best'; of several workers the first writes."""
        self.check_finite()
        if names:    # the same ones in every worker: all take part
            self.update.collect(self.state['iteration'] % self.caffe_iter_size > 0)
            self.saved = self.state['iteration'] if 'last' in names else self.saved
        if self.workers.rank or not names:
            return
        self.state.update(schedule=self.schedule.state(), stopping=self.stopping.state(), loss_scale=self.scale.state())
        self.run.flush()
        written = checkpoint.write(self.run.folder, names[0], self.keeps, self.criterion, self.update, self.state,
                                   self.run.settings, self.plans)
        for name in names[1:]:
            checkpoint.again(self.run.folder, name, written, self.state['iteration'])

    def check_finite(self):
        """NotFinite when an update has made a weight NaN or infinite: nothing of it may be kept as good."""
        if not self.update.finite():
            where, good = self.state, last_good(checkpoint.find(self.run.folder))
            raise NotFinite(f'weights are NaN or infinite after iteration {where["iteration"]} (epoch '
                            f'{where["epoch"]}). Fix: a lower --lr, or --grad_clip. {good}')

    def embed_train(self):
        """float32 (N, D) embeddings of the training set; of several workers the first embeds."""
        rows = len(self.loader.split)
        own = self.embed() if self.workers.rank == 0 else None
        dim = int(self.workers.broadcast('dim', [0 if own is None else own.shape[1]])[0])
        return self.workers.broadcast('embeddings', np.zeros((rows, dim), np.float32) if own is None else own)

    def plan(self, epoch):
        """The batches of an epoch: a function of seed, epoch and, for some samplers, of the network."""
        rng = np.random.RandomState([self.seed, epoch])
        plans = self.sampler.plan(epoch, rng, self.embed_train)
        if not plans:
            split = self.loader.split
            raise UserError(f'the sampler found no batch among {count(len(split), "image")} of '
                            f'{count(split.num_classes, "class", "classes")}. '
                            'Fix: a smaller --batch_size or --num_instances, or another --sampler')
        return plans

    @property
    def finished(self):
        """Whether there is nothing left to train."""
        state = self.state
        return state['epoch'] >= self.epochs or 0 < self.train_iters <= state['iteration'] or self.stopping.reached

    def fit(self):
        """Train until `epochs`, `train_iters` or `early_stopping`; returns the loop's state."""
        state = self.state
        with Signals() as signals:
            while not self.finished:
                epoch = state['epoch']
                factor = self.criterion.on_progress(epoch, self.epochs)
                if not state['started']:
                    self.start()
                self.plans = self.plans or self.plan(epoch)
                if not state['started']:
                    state.update(started=True, iteration=self.start_epoch * len(self.plans))
                self.epoch(epoch, factor, signals)
                self.end_epoch(epoch)
                received = self.workers.agree(signals.received)
                if received is not None and not self.finished:
                    if self.saved != state['iteration']:
                        self.save('last')
                    raise Interrupted(128 + received)
        self.decay.report()     # of a training of fewer updates
        return state

    def start(self):
        """What some papers do before the first step: move BatchNorm statistics, set class weights."""
        if self.criterion.warm_up:
            plans = sequential(len(self.start_loader.split), self.start_batch_size)
            for batch in tqdm(self.start_loader(plans), total=len(plans), desc='start-up pass', disable=None):
                with autograd.record():
                    out = self.forward(batch.image)
                out.embedding.backward()    # MXNet moves the running statistics in the backward pass; no step follows
            nd.waitall()
            self.update.zero_gradients()
        self.criterion.init_from(self.embed_train, self.loader.split.labels)

    def epoch(self, epoch, factor, signals):
        """One epoch from state['step'] on, as far as train_iters allows."""
        state, plans = self.state, self.plans
        average = Average(state['loss_sum'], state['loss_count'])
        first, clock, waited = state['step'], time.time(), self.loader.wait_seconds
        with tqdm(total=len(plans), initial=first, desc=f'epoch {epoch}', leave=False, dynamic_ncols=True,
                  disable=not sys.stderr.isatty()) as bar:
            for batch in self.loader(plans[first:]):
                lr = factor * self.schedule.lr(Position(state['iteration'], epoch, state['step'], len(plans)))
                loss = self.step(batch, lr)
                average.add(loss, len(batch.label))
                state.update(step=state['step'] + 1, iteration=state['iteration'] + 1, loss_sum=average.total,
                             loss_count=average.weight, images=state['images'] + len(batch.label),
                             seconds=state['seconds'] + time.time() - clock,
                             wait_seconds=state['wait_seconds'] + self.loader.wait_seconds - waited)
                clock, waited = time.time(), self.loader.wait_seconds
                if state['iteration'] % self.summary_step == 0 or state['step'] == len(plans):
                    self.progress.step(epoch, loss, lr, {**self.criterion.stats(), **self.scale.stats()})
                left = self.progress.remaining(epoch, state['step'], len(plans))
                bar.update()
                bar.set_postfix(loss=f'{average.mean:.4f}', left=left, refresh=False)
                if self.finished:
                    return
                if self.scored_inside(epoch):
                    clock, waited = time.time(), self.loader.wait_seconds
                received = self.workers.agree(signals.received)
                if received is not None and state['step'] < len(plans):
                    self.save('last')
                    raise Interrupted(128 + received)

    def step(self, batch, lr):
        """Forward, backward and, every caffe_iter_size batches, the update. Returns the mean loss as a float."""
        iteration = self.state['iteration']
        # every step has its own stream (dropout, sampled pairs), so that resuming needs no saved generator
        seed = (self.seed * 1000003 + iteration) % (2 ** 31 - 1)
        np.random.seed(seed)
        if self.draws:      # costs as much as the step of a small head
            mx.random.seed(seed)
        label = to_device(batch.label, self.ctx[0], 'int32')
        leaves = self.chunks.embed(batch.image, seed) if self.chunks else None
        with autograd.record():
            out = self.gathered(leaves or self.forward(batch.image), len(batch.label))
            loss = self.criterion(out, Batch(None, label, batch.index, batch.extra))
            scaled = loss / self.caffe_iter_size if self.caffe_iter_size > 1 else loss
            scaled = scaled * self.scale.value if self.scale.active else scaled
        autograd.backward(scaled)
        value = float(loss.mean().asscalar())
        if not math.isfinite(value):
            self.stop_not_finite(batch, value)
        if self.chunks:
            self.chunks.backward(batch.image, seed, leaves)
        if (iteration + 1) % self.caffe_iter_size == 0:
            self.update.exchange()
            n = self.criterion.step_size(len(batch.label)) * self.scale.value
            if self.scale.passes(self.update.parameters()):
                self.decay.look((iteration + 1) // self.caffe_iter_size, n)
                self.update.step(n, lr)
            else:
                self.update.leave_out()
            self.criterion.after_step()
        return value

    def forward(self, image):
        """The batch through the network, split over the devices; what it returns is gathered on the first one."""
        if len(self.ctx) == 1:
            return self.net(to_device(image, self.ctx[0], image.dtype))
        parts = np.array_split(image, len(self.ctx))
        busy = sum(len(part) > 0 for part in parts)    # of fewer images than devices the idle ones take the first
        outs = [self.net(to_device(part if len(part) else image[:1], c, image.dtype))
                for part, c in zip(parts, self.ctx)]

        def gather(arrays):
            if arrays[0] is None:
                return None
            arrays = [array.as_in_context(self.ctx[0]) for array in arrays]
            whole = nd.concat(*arrays[:busy], dim=0)
            for idle in arrays[busy:]:    # its gradient is zero, but is there: no device keeps an older one
                whole = nd.broadcast_add(whole, 0 * idle)
            return whole
        return Out(gather([out.embedding for out in outs]), gather([out.feature for out in outs]))

    def gathered(self, out, n):
        """What the workers' shares of a batch of n images became, in the order of the batch."""
        return Out(self.workers.gather('embedding', out.embedding, n), self.workers.gather('feature', out.feature, n))

    def stop_not_finite(self, batch, value):
        """The loss is NaN or infinite: name the files of the batch and leave the last good checkpoint alone."""
        names = [self.loader.split.path(i) for i in batch.index]
        listing = self.run.folder / 'not_finite.txt'
        with contextlib.suppress(OSError):
            write_atomic(listing, '\n'.join(names) + '\n')
        shown = ', '.join(names[:8]) + (', ...' if len(names) > 8 else '')
        where, good = self.state, last_good(checkpoint.find(self.run.folder))
        raise NotFinite(f'the loss is {value} at iteration {where["iteration"]} (epoch {where["epoch"]}). Images of '
                        f'the batch: {shown} (all {len(names)} in {listing}). Fix: a lower --lr, --grad_clip, or look '
                        f'at these images. {good}')

    def score(self, epoch):
        """Evaluate: (whether this is the network to keep, what goes to the log)."""
        self.check_finite()
        improved, scores = False, {}
        if self.workers.rank == 0:
            improved, scores = self.progress.evaluation(epoch, self.evaluate(epoch))
        return bool(self.workers.agree(improved)), scores    # a checkpoint takes all of them

    def scored_inside(self, epoch):
        """In the middle of an epoch: evaluate when eval_iter_term says so, and keep the best. Whether it did."""
        state = self.state
        if not self.eval_iter_term or state['iteration'] % self.eval_iter_term or state['step'] == len(self.plans):
            return False
        improved, scores = self.score(epoch)
        self.progress.inside(epoch, scores)
        if improved:
            self.save('best', 'last')
        return True

    def end_epoch(self, epoch):
        """Schedules, evaluation when it is due, log line, checkpoints."""
        state, steps = self.state, len(self.plans)
        loss = state['loss_sum'] / max(1, state['loss_count'])
        self.schedule.after_epoch(loss)
        self.stopping.after_epoch(loss)
        state.update(epoch=epoch + 1, step=0, loss_sum=0.0, loss_count=0, epoch_loss=loss)
        self.plans, improved, scores, last = None, False, {}, self.finished
        # DIFFERS: the last epoch is always evaluated, also where eval_epoch_term would not have it.
        done, term = epoch + 1, self.eval_epoch_term
        if self.eval_iter_term:
            done, term = state['iteration'], self.eval_iter_term
        if last or done % term == 0:
            improved, scores = self.score(epoch)
        self.progress.epoch(epoch, loss, self.update.learning_rate, scores,
                            '' if last else self.progress.remaining(epoch, steps, steps))
        # best goes first: dying in between leaves a `last` from which the better epoch is reached once more
        due = last or improved or (epoch + 1) % self.save_epoch_term == 0
        self.save(*['best'] * improved, *['last'] * due)
        if self.stopping.reached:
            print(f'stopped early: the epoch loss has not improved for {self.stopping.patience} epochs')


def last_good(folder):
    """The sentence that says where the last good checkpoint is."""
    return f'Last good checkpoint: {folder}' if folder else 'No checkpoint had been written yet.'
