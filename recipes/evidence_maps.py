"""Evidence: the maps of Heated-Up Softmax's Figure 3, LeNet with a bottleneck of 2 numbers on MNIST. Nothing but data.

SAYS : the claim in one sentence
MAPS : {name: (flags on top of recipes.heated_up_softmax.MNIST, what the paper says of it)}, in the figure's order
BESIDE : the map that the figure does not have: no verdict waits for it, and it is trained last
EPOCHS, HOT : of the paper; fewer epochs keep the share of hot ones
DIGITS : training digits: 60,000 less the 5,000 that the authors' program sets aside
SPEED : images a second of training on one core, for what the maps will cost
KNOWN : a run of the authors' program that was scored: its name, flags, data, training digits, accuracy and Recall@1
"""

from recipes import heated_up_softmax

SAYS = ('a small alpha makes classes compact but merges them, a large one spreads them into arcs that touch, and '
        'heating up from 16 to 4 makes them compact and separate (arXiv 1809.04157, section 3.2 and figure 3)')
_SAID = {
    'map_0.25': 'compact, but classes merge',
    'map_4': 'in between: smaller is more compact',
    'map_16': 'in between: larger is wider',
    'map_32': 'in the launcher, not in the figure',
    'map_64': 'arcs that touch their neighbours',
    'map_heated': 'compact and separate',
}
MAPS = {name: (heated_up_softmax.MAPS[name], said) for name, said in _SAID.items()}
BESIDE = 'map_32'
# evaluations are drawn from the last one alone
FLAGS = dict(heated_up_softmax.MNIST, draw=False, figures=False, train_stats=False)
EPOCHS, HOT = heated_up_softmax.MNIST['epochs'], heated_up_softmax.HEAT['nb_hu_epoch']
DIGITS, SPEED = 55000, 1000
TRAIN, KNOWN_DATA = 'mnist', 'mnist_t10k'
KNOWN = {'name': 'known_answer', 'data': KNOWN_DATA, 'digits': 8000, 'epochs': 20, 'hot': 5, 'accuracy': 0.942,
         'recall@1': 0.903, 'flags': heated_up_softmax.MAPS['map_heated']}
