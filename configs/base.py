"""Every field once, with its unit and where its value comes from; the other configs change some of them.

Values are the paper's (Sec. 4.1 and 4.2) or, where it is silent, the released code's.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    """Returns all fields with the paper's sizes."""
    config = ml_collections.ConfigDict()
    config.name = "base"  # names the default workdir, runs/<name>
    config.seed = 0  # of the parameters and of the mixtures
    config.batch_size = 80  # mixtures a step, over all devices
    config.method = "mpnet"  # mpnet | pixelplayer | miml
    config.mask = "binary"  # binary | ratio: what the networks learn

    config.start_from = ""  # workdir of a run, or of converted weights, whose networks training starts with

    config.rounds = rounds = ml_collections.ConfigDict()  # optimiser steps of each; 0 leaves it out (Sec. 3.4)
    rounds.minus = 62_500  # the M-Net (100 epochs of 500 videos, 100 times each, batch 80)
    rounds.plus = 62_500  # the P-Net, on an M-Net that stays as it is
    rounds.both = 62_500  # both

    config.data = data = ml_collections.ConfigDict()
    data.directory = "data"  # folder of prepared data sets
    data.name = "rendered_solos"  # the data set in it
    data.fps = 8.0  # stored pictures a second
    data.frame_px = 246  # shorter side of the stored pictures
    data.picture_cache_gib = 2.0  # decoded training pictures that a process keeps, at most; the more, the faster
    data.picture_cache_dir = ""  # folder on whose disk it keeps them; "": in memory

    config.audio = audio = ml_collections.ConfigDict()
    audio.rate_hz = 16_000
    audio.clip_samples = 95_800  # a window of about 6 s
    audio.fft_samples = 1500  # Hann window and transform
    audio.hop_samples = 375
    audio.pad_mode = "reflect"  # reflect | constant
    audio.frequency_axis = "log"  # log | released | mel | linear: what the networks see
    audio.frequency_rows = 256  # of that axis

    config.frames = frames = ml_collections.ConfigDict()
    frames.count = 6  # pictures a window (T)
    frames.stride_seconds = 0.0  # from one picture to the next, round the window's middle; 0 spreads them over it
    frames.crop_px = 224

    config.mixing = mixing = ml_collections.ConfigDict()
    mixing.sources = 2  # sounds a mixture (N)
    mixing.same_class = False  # may two of them be of one class?
    mixing.gain_low = 0.5  # least and greatest linear gain
    mixing.gain_high = 1.5
    mixing.gain_scale = "linear"  # linear | decibels: on which gains are uniform
    mixing.silent_probability = 0.05  # of each source after the first
    mixing.level_of = "video"  # video | window: what is brought to one level before the gain
    mixing.level_dbfs = -20.0  # that level
    mixing.truth = "magnitude"  # magnitude | phase_sensitive: of a source, only what is in phase with the mixture
    mixing.augment = True  # random crop and flip of the pictures

    config.model = model = ml_collections.ConfigDict()
    model.visual_channels = 16  # length of a visual vector (k)
    model.unet_depth = 7
    model.unet_features = 64
    model.plus_features = 64  # of the P-Net, as deep as the M-Net
    model.plus_start = "random"  # random | minus_net: what it begins with, its own weights or the trained M-Net's
    model.plus_bias = 0.0  # initial offset before its sigmoid: 0 gives half of the remix back, -3 next to nothing
    model.resnet_features = 64
    model.resnet_dilated = True
    model.visual_pooling = "max"  # max | mean: of a clip's map, over frames and places
    model.visual_activation = "sigmoid"  # sigmoid | none: of a clip's pooled visual vector
    model.compute = "float32"  # float32 | bfloat16: of maps and products; parameters and statistics stay float32
    model.log_epsilon = 1e-6  # linear magnitude added before the logarithm that enters the U-Nets
    model.stop_gradient_input = True  # no gradient through the log-magnitude that enters the U-Net
    model.statistics_decay = 0.9  # running statistics of batch normalisation
    model.statistics_per_step = True  # a set for every step of the recursion: each sees another distribution

    config.recursion = recursion = ml_collections.ConfigDict()
    recursion.mask_on = "remaining"  # remaining (Eqs. 2 and 3) | original: the mixture that a mask acts on
    recursion.subtraction = "difference"  # difference (Eq. 3) | product (released code)
    recursion.subtracted = "solo"  # solo (Eq. 3) | final: with what the P-Net gave back, too
    recursion.energy = "magnitude"  # magnitude | power | written (released code): by which the loudest is meant
    # ground_truth (Sec. 4.2) | predicted (released code), by descending energy | drawn: at random
    recursion.training_order = "ground_truth"
    recursion.floor = 0.0  # linear magnitude added to the mixture and to what each subtraction leaves
    # How far around a taken place of a picture none is taken again, as a share of the map's longer side. 0.15 closes
    # 5 x 5 of 14 x 14 places, so that six sounds always find an open one.
    recursion.neighbourhood = 0.15
    recursion.place_side = 1  # side of the square of places that is one candidate, to count and to separate by
    recursion.unroll = "auto"  # auto | yes | no; auto unrolls on a CPU

    config.loss = loss = ml_collections.ConfigDict()
    loss.ratio = "absolute"  # absolute (Sec. 4.2) | cross_entropy: of ratio masks; that of binary ones is cross entropy
    loss.ratio_plus = "absolute"  # the same of the sounds after the P-Net
    loss.plus = "effective"  # effective: of the whole sound (Eqs. 9 and 10) | sum: of M + M_r (the paper's words)
    loss.index_ratio = False  # weigh the sources by 2^n / N, n their place in the mixture (released code)
    loss.remaining = "after"  # after | before (released code, without a gradient): the last step
    loss.remaining_weight = 0.1  # of what is left then

    config.miml = miml = ml_collections.ConfigDict()  # only for config.method = "miml"; its paper's values
    miml.classes = 11  # of the data set
    miml.class_steps = 1000  # of its class network, which learns what the training pictures show, by Adam ...
    miml.class_rate = 1e-3  # ... with this learning rate, falling to zero ...
    miml.class_mixtures = 16  # ... from the clips of so many mixtures a step
    miml.learns_from = "solos"  # solos | mixtures: the clips whose bases and classes it learns from
    miml.mixtures = 1024  # training mixtures of these; each is factorised once, before the first step
    miml.bases = 25  # of a clip (M)
    miml.divergence = "kullback_leibler"  # kullback_leibler | itakura_saito | euclidean
    miml.iterations = 100  # of a clip's factorisation
    miml.features = 1024  # of the network's first layer
    miml.concepts = 4  # ways in which a class may sound (K)
    miml.threshold = 0.5  # least relation of a basis that is kept for its class, in equal shares of all classes
    miml.bases_of_class = 200  # at most, in separation
    miml.separation_iterations = 30  # of the gains

    config.optimiser = optimiser = ml_collections.ConfigDict()
    optimiser.name = "sgd"  # sgd | adam | adam_l2 | adamw
    optimiser.learning_rate = 1e-3
    optimiser.round_scale = round_scale = ml_collections.ConfigDict()  # of the learning rate, by round
    round_scale.minus = round_scale.plus = round_scale.both = 1.0
    optimiser.scale = scale = ml_collections.ConfigDict()  # of the learning rate, by part
    scale.frame_trunk = 0.1  # trained on ImageNet before
    scale.frame_head = 1.0
    scale.minus_net = 1.0  # PixelPlayer's sound network and synthesizer, and MIML's network, too
    scale.plus_net = 1.0
    # steps (x0.1 at the boundaries) | cosine (to zero) | exponential | constant; anew in each round
    optimiser.schedule = "steps"
    optimiser.boundaries = (0.4, 0.8)  # shares of a round after which the rate falls
    optimiser.decay = 0.94  # exponential: what the rate is multiplied by (MIML's paper) ...
    optimiser.decay_steps = 20  # ... after so many steps, and again
    optimiser.warmup_steps = 0
    optimiser.momentum = 0.9  # sgd only
    optimiser.weight_decay = 1e-4  # sgd, adam_l2: coupled; adamw: decoupled

    config.log_every = 20  # steps between progress lines; every step's losses are written all the same
    config.summary_every = 500  # steps between pictures and sounds for TensorBoard
    config.validate_every = 1000  # steps
    config.checkpoint_every = 1000  # steps

    config.evaluation = evaluation = ml_collections.ConfigDict()
    evaluation.mixtures = 256  # fixed mixtures of the test split
    evaluation.validation_mixtures = 64  # fixed mixtures of the validation split, watched during training
    evaluation.other_mixtures = 256  # fixed test mixtures of each other number of sounds (--mix)
    evaluation.batch_size = 16  # mixtures read at a time, over all devices; no number depends on it
    evaluation.level_difference_db = 6.0  # greatest difference of levels, see below
    # uniform (of each source against the first) | triangular (of any two; each level is uniform by itself)
    evaluation.level_distribution = "uniform"
    evaluation.floor_dbfs = -40.0  # no window whose sound, at its video's level, is under this
    evaluation.seed = 1
    evaluation.bss = "fft"  # implementation of BSS Eval: fft (ours) | mir_eval (the published program, slower)
    evaluation.examples = 12  # mixtures shown in the report

    evaluation.counting = counting = ml_collections.ConfigDict()  # of sounds (--counting)
    counting.mixtures = 240  # fixed mixtures of the test split, and as many of the validation split to choose epsilon
    counting.clips = 6  # that are seen in each; 0, 1, ... one less are heard
    counting.silence_dbfs = -60.0  # what is left is silence when it is under white noise of this level

    evaluation.places = places = ml_collections.ConfigDict()  # where sounds come from (--localisation)
    places.name = "rendered_small"  # data set with boxes in its test split
    places.frame_px = 160  # its pictures' shorter side; the middle square is shown
    places.mixtures = 110  # fixed scenes of each kind

    evaluation.far = far = ml_collections.ConfigDict()  # far from what was trained on (--far)
    far.name = "rendered_far"  # data set whose test split has other timbres, melodies and pictures
    far.mixtures = 220  # fixed mixtures of it, of as many sounds as the run's

    config.compare = compare = ml_collections.ConfigDict()  # the cells of mpnet_jax.compare: methods x settings x seeds
    compare.methods = ("miml", "pixelplayer", "mnet", "mpnet")
    compare.settings = ("binary-mix2", "ratio-mix2", "ratio-mix3")  # mask and sounds in training; MIML has no mask
    compare.seeds = (0, 1, 2)
    compare.mixes = (2, 3, 4, 5)  # numbers of sounds that every cell is tested on beside its own
    compare.far = True  # tested on config.evaluation.far too
    compare.counting = True  # MP-Net
    compare.localisation = True  # MP-Net
    compare.keep_runs = True  # keep checkpoints and reports of cells that are done
    compare.takeover_minutes = 10.0  # another machine's claim that was not renewed for so long is dead

    # PixelPlayer's networks, trained once a seed, that all methods but MIML start with; 0 steps: random weights.
    compare.start = start = ml_collections.ConfigDict()
    start.steps = 0
    start.setting = "ratio-mix2"
    start.learning_rate = 1e-3
    start.changes = ""  # "field=value field=value", in its config: other data, other levels

    compare.rates = rates = ml_collections.ConfigDict()  # learning rates, the best on validation for each method
    rates.tried = (3e-4, 1e-3, 3e-3)
    rates.setting = "ratio-mix2"  # in which they are tried
    rates.seed = 0
    rates.share = 1.0  # of the steps; with all of them the best trial is the cell of that setting and seed already

    compare.ablations = ablations = ml_collections.ConfigDict()  # seen by the validation split alone
    ablations.changes = ()  # "name: field=value field=value", each against the same without a change
    ablations.method = "mpnet"
    ablations.setting = "ratio-mix2"
    ablations.seed = 0
    ablations.repeated = ()  # names of changes that are made with every seed of compare.seeds
    ablations.mixes = (2, 3)  # numbers of sounds
    ablations.share = 1.0  # of the steps; with all of them the one without a change is a cell already
    ablations.hours = 0.0  # none is begun after so many hours of them; 0: no end
    return config
