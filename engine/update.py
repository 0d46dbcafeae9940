"""What moves the parameters: optimizers, gradients gathered over several batches, and their states in arrays."""

import numpy as np

from core.errors import UserError
from core.gluon_internals import named_parameters, parameters_of, set_update_counts, update_counts, updaters_of
from core.runtime import gluon, mx
from engine import forms
from engine.loss_scale import finite
from engine.workers import Alone


class Update:
    """One gluon.Trainer for the network and one for what the criterion owns, if it asks for its own or lies, as it does
    beside several devices, on the first of them alone.

    Parameters
    ----------
    net, criterion : their parameters
    optimizer : (name, keyword arguments), see engine.optimizers.settings
    gather : batches whose gradients are averaged before the parameters move (--caffe_iter_size)
    kvstore : how gradients of several devices are summed; None: there is one device
    adds : whether several backward passes make the gradient of one batch
    workers : engine.workers.Workers of a distributed run
    """

    def __init__(self, net, criterion, optimizer, gather=1, kvstore=None, adds=False, workers=None):
        own, (name, constants) = criterion.own_optimizer(), optimizer
        self.of_network, self.of_criterion = parameters_in(net), parameters_in(criterion)
        alike = {tuple(parameter.list_ctx()) for parameter in (*self.of_network[:1], *self.of_criterion[:1])}
        apart = own is not None or len(alike) > 1
        params = [*self.of_network, *(() if apart else self.of_criterion)]
        # by the place in the network: the names that Gluon sorts by count the layers made before in this process
        self.place = {id(p): 'net.' + name for name, p in named_parameters(net).items()}
        self.place.update({id(p): 'criterion.' + name for name, p in named_parameters(criterion).items()})
        self.workers, self.others = workers or Alone(), {}
        self.criterion, self.home = criterion, params[0].list_ctx()[0]
        self.gather, self.base, self.adds = gather, constants['learning_rate'], adds or gather > 1
        self.trainers = [gluon.Trainer(params, forms.create(name, constants), kvstore=kvstore, update_on_kvstore=False)]
        self.names = [name]
        if apart and self.of_criterion:
            own = own or optimizer
            self.trainers.append(gluon.Trainer(self.of_criterion, forms.create(*own), kvstore=None))
            self.names.append(own[0])
        self.own_lr = [trainer.learning_rate for trainer in self.trainers]
        if self.adds:
            for parameter in self.parameters():
                parameter.grad_req = 'add'

    def parameters(self):
        """Every Parameter that has a gradient."""
        return [p for trainer in self.trainers for p in parameters_of(trainer) if p.grad_req != 'null']

    def zero_gradients(self):
        """Forget the gradients."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def exchange(self):
        """Join the gradients of the workers: each has that of its rows for the network, and that of the whole batch for
        what the criterion owns, of which the first worker's counts."""
        self.workers.sum('network', self.of_network)
        self.workers.sum('criterion', self.of_criterion, float(self.workers.rank == 0))

    def leave_out(self):
        """Instead of a step: the parameters stay where they are."""
        if self.adds:
            self.zero_gradients()

    def step(self, n, lr):
        """Move the parameters by their gradients.

        n : the gradient is divided by it
        lr : learning rate of the network's optimizer; the criterion's own moves in proportion
        """
        for trainer, own_lr in zip(self.trainers, self.own_lr):
            trainer.set_learning_rate(own_lr * lr / self.base if self.base else own_lr)
            trainer.step(n, ignore_stale_grad=True)
        if self.adds:
            self.zero_gradients()

    @property
    def learning_rate(self):
        """The rate of the last step."""
        return self.trainers[0].learning_rate

    def finite(self):
        """Whether every parameter is a finite number, on its first device."""
        arrays = [p.list_data()[0] for trainer in self.trainers for p in parameters_of(trainer)]
        return finite([array for array in arrays if array.dtype == np.float32])

    def arrays(self):
        """{name: NDArray on the CPU}: states of the optimizers and, with `gather`, the gradients gathered so far and
        what the criterion keeps of their batches."""
        found = {}
        for number, trainer in enumerate(self.trainers):
            for index, state in updaters_of(trainer)[0].states.items():
                name = self.place[id(parameters_of(trainer)[index])]
                for part, array in flat(state):
                    found[f'state/{number}/{name}/{".".join(map(str, part))}'] = array
        if self.gather > 1:
            found.update(self.gathered(), **self.others)
        found.update({'pending/' + name: array for name, array in self.criterion.pending().items()})
        return {name: array.copyto(mx.cpu()) for name, array in found.items()}

    def gathered(self):
        """{name: NDArray} of the gradients gathered so far."""
        return {f'gradient/{self.place[id(parameter)]}/{device}': array for parameter in self.parameters()
                for device, array in enumerate(parameter.list_grad())}

    def collect(self, pending):
        """Let arrays() hold what the other workers have gathered too. pending : whether there is anything of it."""
        self.others = {}
        if pending and self.workers.size > 1:
            for name, array in self.gathered().items():
                theirs = self.workers.each(name, array)
                self.others.update({f'{name}/{rank}': theirs[rank] for rank in range(1, self.workers.size)})

    def description(self):
        """What the arrays belong to: a list of dicts that JSON can hold."""
        found = []
        for name, trainer in zip(self.names, self.trainers):
            optimizer, places = updaters_of(trainer)[0].optimizer, self.places(trainer)
            found.append({'name': name, 'num_update': optimizer.num_update,
                          'm_schedule': getattr(optimizer, 'm_schedule', None),
                          'counts': {str(device): {places[i]: n for i, n in counts.items()}
                                     for device, counts in update_counts(optimizer).items()}})
        return found

    def places(self, trainer):
        """Where in network or criterion each parameter of a gluon.Trainer stands, in its order."""
        return [self.place[id(parameter)] for parameter in parameters_of(trainer)]

    def restore(self, arrays, description, file):
        """Go on from arrays() and description(); `file` is what an error names."""
        names = [entry['name'] for entry in description]
        if len(names) != len(self.names) and len({*names, *self.names}) == 1:    # one device then, several now, or back
            counts = {}
            for entry in description:
                for device, numbers in entry['counts'].items():
                    counts.setdefault(device, {}).update(numbers)
            description, names = [dict(description[0], counts=counts)] * len(self.names), self.names
        if names != self.names:
            flag = f'--optim={self.names[0]}' if self.names[0] != names[0] else 'the optimizer of the loss'
            old, new = ' and '.join(names), ' and '.join(self.names)
            raise UserError(f'{flag} does not fit the run that is resumed: {old} trained it, whose state {new} cannot '
                            'take over. Fix: leave --optim out, or start a new run')
        groups = {}
        for name, array in arrays.items():
            if name.startswith('state/'):
                _, _, place, part = name.split('/')
                groups.setdefault(place, {})[part] = array
        for trainer, entry in zip(self.trainers, description):
            parameters, places = parameters_of(trainer), self.places(trainer)
            for updater in updaters_of(trainer):
                for index, (parameter, place) in enumerate(zip(parameters, places)):
                    saved = groups.get(place, {})
                    if not saved and place not in entry['counts'].get('0', {}):
                        continue    # a parameter that never had a gradient
                    weight = parameter.list_data()[0]
                    state = updater.optimizer.create_state_multi_precision(index, weight)
                    for part, array in flat(state):
                        name = '.'.join(map(str, part))
                        if name not in saved or saved[name].shape != array.shape:
                            raise UserError(f'{file} does not fit: it has no state {name} of {place} with the shape '
                                            f'{array.shape}. Fix: the --optim and the network of the run')
                        array[:] = saved[name].as_in_context(array.context)
                    updater.states[index], updater.states_synced[index] = state, False
            counts = {}
            for device in range(len(updaters_of(trainer))):     # one that was not there counts as the first did
                numbers = entry['counts'].get(str(device), entry['counts'].get('0', {}))
                counts[device] = {places.index(place): int(n) for place, n in numbers.items() if place in places}
            self.set_counts(trainer, entry['num_update'], entry['m_schedule'], counts)
        if self.gather > 1:
            self.restore_gathered({name: array for name, array in arrays.items() if name.startswith('gradient/')})
        self.criterion.restore_pending({name[len('pending/'):]: array.as_in_context(self.home)
                                        for name, array in arrays.items() if name.startswith('pending/')})

    def restore_gathered(self, arrays):
        """Go on from gathered(), each worker from its own."""
        rank, size = self.workers.rank, self.workers.size
        ranks = {int(name.split('/')[3]) for name in arrays if name.count('/') == 3}
        if ranks and ranks != set(range(1, size)):
            count = len(ranks) + 1
            raise UserError(f'the run stopped between two updates (--caffe_iter_size), and each of its {count} workers '
                            f'had gathered gradients of its own; here it would go on with {size}. Fix: python3 main.py '
                            f'launch --workers={count} -- --resume=RUN')
        for name, gradient in self.gathered().items():
            saved = arrays.get(f'{name}/{rank}' if rank else name)
            if saved is not None and saved.shape == gradient.shape:
                gradient[:] = saved.as_in_context(gradient.context)

    @staticmethod
    def set_counts(trainer, num_update, m_schedule, counts):
        """Let the optimizer of a gluon.Trainer count on from there."""
        optimizer = updaters_of(trainer)[0].optimizer
        optimizer.num_update = num_update
        if m_schedule is not None:
            optimizer.m_schedule = m_schedule
        set_update_counts(optimizer, counts)

    def restore_pickles(self, saved):
        """Go on from the [(states, optimizer)] that version 1 pickled, numbered in the order of Gluon's names."""
        for trainer, (states, before) in zip(self.trainers, saved):
            now = updaters_of(trainer)[0].optimizer
            if type(before) is not type(now):
                raise UserError(f'--optim means {type(now).__name__} here, but the run that is resumed was trained '
                                f'with {type(before).__name__}. Fix: --optim, or start a new run')
            parameters = parameters_of(trainer)
            order = sorted(range(len(parameters)), key=lambda i: parameters[i].name)
            states = {order[i]: state for i, state in states.items()}
            wrong = [parameters[i].name for i, state in states.items()
                     if any(array.shape != parameters[i].shape for _, array in flat(state))]
            if wrong:
                raise UserError(f'the optimizer states of the run do not fit {wrong[0]}: an older version made another '
                                'network. Fix: start a new run with --pretrained=RUN/last/net.params')
            for updater in updaters_of(trainer):
                updater.states, updater.states_synced = dict(states), dict.fromkeys(states, False)
            self.set_counts(trainer, before.num_update, getattr(before, 'm_schedule', None),
                            {device: {order[i]: n for i, n in counts.items()}
                             for device, counts in update_counts(before).items()})


def parameters_in(block):
    """Every Parameter of a block once, in the order of its layers."""
    return list({id(parameter): parameter for parameter in named_parameters(block).values()}.values())


def flat(state, part=()):
    """[(position in the nested tuples, NDArray)] of an optimizer's state of one parameter."""
    if state is None:
        return []
    if isinstance(state, (list, tuple)):
        return [item for i, inner in enumerate(state) for item in flat(inner, (*part, i))]
    return [(part, state)]
