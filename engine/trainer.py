"""The one training loop. It knows a paper only through the hooks of losses.base.Criterion."""

import math
import signal
import sys
import time

import numpy as np
from tqdm import tqdm

from core.contracts import Batch, Out
from core.errors import UserError
from core.runtime import autograd, gluon, mx, nd
from datasets.loader import Loader, sequential
from engine import checkpoint
from engine.optimizers import settings
from engine.schedule import Average, EarlyStopping, Schedule

BEST = ('test', 'val')


class Interrupted(Exception):
    """SIGINT or SIGTERM arrived; the checkpoint has been written. `status` is the exit status of the program."""

    def __init__(self, status):
        super().__init__(status)
        self.status = status


class Signals:
    """Note SIGINT and SIGTERM while the loop finishes its step; a second SIGINT stops at once."""

    def __init__(self):
        self.received = None

    def __enter__(self):
        self.before = {number: signal.signal(number, self.note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def note(self, number, frame):
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number

    def __exit__(self, *exception):
        for number, handler in self.before.items():
            signal.signal(number, handler)


def figure(result):
    """The number that decides which epoch is better: the accuracy where there is one, else the first Recall@K."""
    return result.get('accuracy', next(iter(result['recall'].values())))


class Trainer:
    """Trains a network with a criterion.

    Parameters
    ----------
    args : parsed flags
    train : datasets.records.Split of the training set
    transform : training transform of the images
    sampler : samplers.base.Sampler
    net : models EmbeddingNet
    criterion : losses.base.Criterion
    run : engine.run.Run
    ctx : list of MXNet contexts; embeddings are gathered on the first one before the loss
    evaluate : callable(epoch) -> dict with 'test' and, with --val_classes, 'val': {'recall': {'1': ...}, ...}
    embed_train : callable() -> float32 (N, D) embeddings of the training set
    constants : {optimizer: {constant: value}} where the paper's optimizer is not MXNet's
    """

    def __init__(self, args, train, transform, sampler, net, criterion, run, ctx, evaluate, embed_train,
                 constants=None):
        self.constants = constants or {}
        self.args, self.train, self.sampler, self.run, self.ctx = args, train, sampler, run, ctx
        self.net, self.criterion, self.evaluate, self.embed_train = net, criterion, evaluate, embed_train
        self.loader = Loader(train, transform, args.num_workers)
        self.state = {'epoch': args.start_epoch, 'step': 0, 'iteration': 0, 'loss_sum': 0.0, 'loss_count': 0,
                      'seconds': 0.0, 'images': 0, 'schedule': None, 'stopping': None, 'best': {}, 'last': {},
                      'epoch_loss': None, 'wait_seconds': 0.0, 'num_classes': train.num_classes}
        self.trainers = self.make_trainers()
        self.schedule, self.stopping = None, EarlyStopping(args.early_stopping or 1)

    def make_trainers(self):
        """One gluon.Trainer for the network and one for what the criterion owns, if it asks for its own."""
        params = self.net.collect_params()
        own = self.criterion.trainer(self.args)
        kvstore = None if self.args.kvstore == 'none' or len(self.ctx) == 1 else self.args.kvstore
        if own is None:
            params = gluon.ParameterDict()
            params.update(self.net.collect_params())
            params.update(self.criterion.collect_params())
        name, constants = settings(self.args, self.constants)
        if self.args.grad_clip:
            constants['clip_gradient'] = self.args.grad_clip
        trainers = [gluon.Trainer(params, name, constants, kvstore=kvstore, update_on_kvstore=False)]
        if own is not None and self.criterion.collect_params():
            trainers.append(gluon.Trainer(self.criterion.collect_params(), own[0], own[1], kvstore=None))
        if self.args.caffe_iter_size > 1:
            for trainer in trainers:
                for parameter in trainer._params:
                    if parameter.grad_req == 'write':
                        parameter.grad_req = 'add'
        self.own_lr = [trainer.learning_rate for trainer in trainers]
        return trainers

    def resume(self, folder):
        """Continue from a checkpoint."""
        self.state, self.plans = checkpoint.restore(folder, self.net, self.criterion, self.trainers, self.ctx)
        self.run.rewind(self.state['iteration'])

    def save(self, which, plans=None):
        """Write the checkpoint `last` or `best`."""
        self.state['schedule'] = self.schedule.plateau.state()
        self.state['stopping'] = self.stopping.state()
        checkpoint.write(self.run.folder / which, self.net, self.criterion, self.trainers, self.state,
                         vars(self.args), plans)

    def plan(self, epoch):
        """The batches of an epoch: a function of seed, epoch and, for some samplers, of the network."""
        rng = np.random.RandomState([self.args.seed, epoch])
        plans = self.sampler.plan(epoch, rng, self.embed_train)
        if not plans:
            raise UserError(f'--sampler={self.args.sampler} found no batch: --batch_size={self.args.batch_size} with '
                            f'{len(self.train)} images of {self.train.num_classes} classes. Fix: a smaller '
                            '--batch_size or --num_instances')
        return plans

    def fit(self):
        """Train until --epochs, --train_iters or --early_stopping; returns the loop's state."""
        args, state = self.args, self.state
        plans = getattr(self, 'plans', None)
        if state['iteration'] == 0 and state['step'] == 0:
            self.start()
        end = args.start_epoch + args.epochs
        with Signals() as signals:
            for epoch in range(state['epoch'], end):
                factor = self.criterion.on_progress(epoch - args.start_epoch, args.epochs)
                plans = plans or self.plan(epoch)
                self.begin_schedule(len(plans))
                finished = self.epoch(epoch, plans, factor, signals)
                plans = None
                if self.end_epoch(epoch, last=epoch == end - 1 or finished):
                    break
                if signals.received is not None:
                    self.save('last')
                    raise Interrupted(128 + signals.received)
        return state

    def start(self):
        """What some papers do before the first step: move BatchNorm statistics, set class weights."""
        if self.criterion.warm_up:
            plan = sequential(len(self.train), self.args.batch_size)
            for batch in tqdm(self.loader(plan), total=len(plan), desc='warm-up', disable=not sys.stderr.isatty()):
                with autograd.record():
                    out = self.net(nd.array(batch.image, ctx=self.ctx[0], dtype='uint8'))
                out.embedding.backward()    # MXNet moves the running statistics in the backward pass; no step follows
            nd.waitall()
            for trainer in self.trainers:
                for parameter in trainer._params:
                    if parameter.grad_req != 'null':
                        parameter.zero_grad()
        self.criterion.init_from(self.embed_train, self.train.labels)

    def begin_schedule(self, steps_per_epoch):
        """Make the schedule once the length of an epoch is known, and restore its state."""
        if self.schedule is None:
            self.schedule = Schedule(self.args, steps_per_epoch)
            if self.state['schedule']:
                self.schedule.plateau.restore(self.state['schedule'])
                self.stopping.restore(self.state['stopping'])

    def epoch(self, epoch, plans, factor, signals):
        """One epoch from state['step'] on; returns True when --train_iters is reached."""
        args, state = self.args, self.state
        average = Average(state['loss_sum'], state['loss_count'])
        first, clock, waited = state['step'], time.time(), self.loader.wait_seconds
        bar = tqdm(total=len(plans), initial=first, desc=f'epoch {epoch}', leave=False, dynamic_ncols=True,
                   disable=not sys.stderr.isatty())
        for batch in self.loader(plans[first:]):
            lr = self.schedule.lr(state['iteration'], epoch) * factor
            loss = self.step(batch, lr)
            average.add(loss, len(batch.label))
            state.update(step=state['step'] + 1, iteration=state['iteration'] + 1, loss_sum=average.total,
                         loss_count=average.weight, images=state['images'] + len(batch.label),
                         seconds=state['seconds'] + time.time() - clock,
                         wait_seconds=state['wait_seconds'] + self.loader.wait_seconds - waited)
            clock, waited = time.time(), self.loader.wait_seconds
            if state['iteration'] % args.summary_step == 0 or state['step'] == len(plans):
                self.log_step(epoch, loss, lr)
            bar.update()
            bar.set_postfix(loss=f'{average.mean:.4f}', refresh=False)
            reached = args.train_iters and state['iteration'] >= args.train_iters
            updated = state['iteration'] % args.caffe_iter_size == 0
            if signals.received is not None and updated and state['step'] < len(plans) and not reached:
                bar.close()
                state['epoch'] = epoch
                self.save('last', plans)
                raise Interrupted(128 + signals.received)
            if reached:
                break
        bar.close()
        return bool(args.train_iters and state['iteration'] >= args.train_iters)

    def step(self, batch, lr):
        """Forward, backward and, every --caffe_iter_size batches, the update. Returns the mean loss as a float."""
        args, iteration = self.args, self.state['iteration']
        # every step has its own stream (dropout, sampled pairs), so that resuming needs no saved generator
        mx.random.seed((args.seed * 1000003 + iteration) % (2 ** 31 - 1))
        np.random.seed((args.seed * 1000003 + iteration) % (2 ** 31 - 1))
        label = nd.array(batch.label, ctx=self.ctx[0], dtype='int32')
        with autograd.record():
            out = self.forward(batch.image)
            loss = self.criterion(out, Batch(None, label, batch.index, batch.extra))
            scaled = loss / args.caffe_iter_size if args.caffe_iter_size > 1 else loss
        autograd.backward(scaled)
        value = float(loss.mean().asscalar())
        if not math.isfinite(value):
            self.stop_not_finite(batch, value)
        if (iteration + 1) % args.caffe_iter_size == 0:
            for trainer, own_lr in zip(self.trainers, self.own_lr):
                trainer.set_learning_rate(own_lr * lr / args.lr if args.lr else own_lr)
                trainer.step(self.criterion.step_size(len(batch.label)), ignore_stale_grad=True)
                if args.caffe_iter_size > 1:
                    for parameter in trainer._params:
                        if parameter.grad_req != 'null':
                            parameter.zero_grad()
            self.criterion.after_step()
        return value

    def forward(self, image):
        """The batch through the network, split over the devices; what it returns is gathered on the first one."""
        if len(self.ctx) == 1:
            return self.net(nd.array(image, ctx=self.ctx[0], dtype='uint8'))
        parts = np.array_split(image, len(self.ctx))
        outs = [self.net(nd.array(part, ctx=c, dtype='uint8')) for part, c in zip(parts, self.ctx) if len(part)]

        def gather(arrays):
            if arrays[0] is None:
                return None
            return nd.concat(*[array.as_in_context(self.ctx[0]) for array in arrays], dim=0)
        return Out(gather([out.embedding for out in outs]), gather([out.feature for out in outs]))

    def stop_not_finite(self, batch, value):
        """The loss is NaN or infinite: name the files of the batch and leave the last good checkpoint alone."""
        names = [self.train.path(i) for i in batch.index]
        listing = self.run.folder / 'not_finite.txt'
        listing.write_text('\n'.join(names) + '\n')
        good = checkpoint.find(self.run.folder / 'last')
        raise UserError('the loss is {} at iteration {} (epoch {}). Images of the batch: {}{} (all {} in {}). '
                        'Fix: a lower --lr, --grad_clip, or look at these images. {}'.format(
                            value, self.state['iteration'], self.state['epoch'], ', '.join(names[:8]),
                            ', ...' if len(names) > 8 else '', len(names), listing,
                            f'Last good checkpoint: {good}' if good else 'No checkpoint had been written yet.'))

    def log_step(self, epoch, loss, lr):
        """One point of the curves."""
        step, board = self.state['iteration'], self.run.board
        board.add_scalar('lr', lr, step)
        board.add_scalar('loss', loss, step)
        stats = self.criterion.stats()
        for name, number in stats.items():
            board.add_scalar(name, number, step)
        self.run.log('step', epoch=epoch, step=step, loss=loss, lr=lr, seconds=round(self.state['seconds'], 3), **stats)

    def end_epoch(self, epoch, last):
        """Schedules, evaluation when it is due, log line, checkpoints. Returns True when training is over."""
        args, state = self.args, self.state
        loss = state['loss_sum'] / max(1, state['loss_count'])
        self.schedule.after_epoch(loss)
        stop = self.stopping.after_epoch(loss) and args.early_stopping > 0
        state.update(epoch=epoch + 1, step=0, loss_sum=0.0, loss_count=0, epoch_loss=loss)
        board, line = self.run.board, {'epoch': epoch, 'step': state['iteration'], 'loss': loss}
        line.update(seconds=round(state['seconds'], 3),
                    images_per_second=round(state['images'] / max(state['seconds'], 1e-9), 2))
        board.add_scalar('lr_epoch', self.trainers[0].learning_rate, epoch)
        board.add_scalar('loss_epoch', loss, epoch)
        text = 'epoch {:>4}  loss {:.4f}  lr {:.2e}  {:.0f} images/s'.format(
            epoch, loss, self.trainers[0].learning_rate, line['images_per_second'])
        improved = False
        if last or stop or (epoch + 1 - args.start_epoch) % args.eval_epoch_term == 0:
            improved, scores = self.score(epoch)
            line.update(scores)
            text += ''.join(f'  {key} {scores[key]:.4f}' for key in ('accuracy',) if key in scores)
            held = 'val_recall' if 'val_recall' in scores else 'recall'
            text += '  ' + '  '.join('{}R@{} {:.4f}'.format('held-out ' if held == 'val_recall' else '', k, v)
                                     for k, v in scores[held].items())
        print(text, flush=True)
        self.run.log('epoch', **line)
        if last or stop or improved or (epoch + 1 - args.start_epoch) % args.save_epoch_term == 0:
            self.save('last')
        if improved:
            self.save('best')
        if stop:
            print(f'stopped early: the epoch loss has not improved for {args.early_stopping} epochs')
        return last or stop

    def score(self, epoch):
        """Evaluate; returns (whether this is the epoch to keep, what goes to the log)."""
        state, board = self.state, self.run.board
        result = self.evaluate(epoch)
        improved = False
        for part in BEST:
            if part not in result:
                continue
            recall = result[part]['recall']
            first = next(iter(recall))
            prefix = 'metric' if part == 'test' else 'validation'
            for k, value in recall.items():
                board.add_scalar(f'{prefix}/R{k}', value, state['iteration'])
                board.add_scalar(f'{prefix}_epoch/R{k}', value, epoch)
            state['last'][part] = dict(result[part], epoch=epoch)
            for name in ('accuracy', 'macro_accuracy'):
                if name in result[part]:
                    board.add_scalar(f'{prefix}/{name}', result[part][name], state['iteration'])
            best = state['best'].get(part)
            if best is None or figure(result[part]) > figure(best):
                state['best'][part] = dict(result[part], epoch=epoch)
                if part == 'val':
                    state['best']['test_at_val'] = dict(result['test'], epoch=epoch)
                # --val_classes decides which epoch is kept; without it the test set does, the papers' habit
                improved = improved or part == 'val' or 'val' not in result
            board.add_scalar(f'{prefix}/R{first}/best', state['best'][part]['recall'][first],
                             state['iteration'])
        line = {key: result['test'][key] for key in ('recall', 'accuracy', 'macro_accuracy') if key in result['test']}
        if 'val' in result:
            line['val_recall'] = result['val']['recall']
        return improved, line
