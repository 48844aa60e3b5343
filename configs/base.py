"""Every field with its unit and the source of its value; the other configs change some of them.

Values are the paper's (Sec. 4.1 and 4.2), or the released code's where the paper gives none.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    """Returns all fields with the paper's sizes."""
    config = ml_collections.ConfigDict()
    config.name = "base"  # names the default workdir, runs/<name>
    config.seed = 0  # seed of the parameters and of the training mixtures
    config.batch_size = 80  # mixtures in a step, over all devices
    config.method = "mpnet"  # mpnet | pixelplayer | miml
    config.mask = "binary"  # binary | ratio: masks that the networks learn

    config.start_from = ""  # workdir of a run or of converted weights; training starts from its networks

    config.rounds = rounds = ml_collections.ConfigDict()  # optimiser steps of each round (Sec. 3.4); 0 skips the round
    rounds.minus = 62_500  # trains the Minus-Net (100 epochs; 500 videos, each 100 times an epoch; batch 80)
    rounds.plus = 62_500  # trains the Plus-Net; the Minus-Net is frozen
    rounds.both = 62_500  # trains both

    config.data = data = ml_collections.ConfigDict()
    data.directory = "data"  # folder of prepared data sets
    data.name = "rendered_solos"  # data set in this folder, or several with commas between their names
    data.fps = 8.0  # stored frames per second
    data.frame_px = 246  # shorter side of the stored frames
    data.picture_cache_gib = 2.0  # size limit of a process's cache of decoded training frames; larger is faster
    data.picture_cache_dir = ""  # folder of this cache; "" keeps it in memory

    # Features of a frozen trunk are kept for frames at this distance; 0 keeps none and computes them in every step.
    data.feature_seconds = 0.0
    data.feature_views = 1  # crops of each such frame; training draws one, validation takes the central one
    data.feature_directory = ""  # folder of kept features; "" keeps them beside the data set

    config.audio = audio = ml_collections.ConfigDict()
    audio.rate_hz = 16_000  # sample rate
    audio.clip_samples = 95_800  # length of a window, about 6 s
    audio.fft_samples = 1500  # length of the Hann window and of the transform
    audio.hop_samples = 375  # from one transform to the next
    audio.pad_mode = "reflect"  # reflect | constant: padding at the ends of a window
    audio.frequency_axis = "log"  # log | released | mel | linear: frequency axis of the networks
    audio.frequency_rows = 256  # number of rows on this axis

    config.frames = frames = ml_collections.ConfigDict()
    frames.count = 6  # frames per window (T)
    frames.stride_seconds = 0.0  # between frames around the middle of the window; 0 spreads them over the window
    frames.crop_px = 224  # side of the square that enters the network

    config.mixing = mixing = ml_collections.ConfigDict()
    mixing.sources = 2  # sounds in a mixture (N)
    mixing.same_class = False  # whether two sounds of a mixture may have the same class
    mixing.gain_low = 0.5  # least linear gain
    mixing.gain_high = 1.5  # greatest linear gain
    mixing.gain_scale = "linear"  # linear | decibels: scale on which gains are uniform
    mixing.silent_probability = 0.05  # probability that a source is silent; never the first one
    mixing.level_of = "video"  # video | window: signal that is scaled to the same level before the gain
    mixing.level_dbfs = -20.0  # this level
    mixing.truth = "magnitude"  # magnitude | phase_sensitive (only the part that is in phase with the mixture)
    # Share of the training clips whose features are made from ImageNet's weights of their class; needs kept features.
    mixing.classifier_share = 0.0
    mixing.augment = True  # random crops and flips of the frames

    config.model = model = ml_collections.ConfigDict()
    model.visual_channels = 16  # length of a visual vector (k)
    model.frame_net = "resnet18"  # resnet18 | efficientnet_lite0 (with ImageNet weights)
    model.frame_net_trained = "all"  # all | head (the layers behind the trunk) | nothing: what of it learns
    model.feature_noise = 0.0  # efficientnet_lite0: standard deviation of noise on normalised features in training
    model.feature_dropout = 0.0  # efficientnet_lite0: share of the features that are zero in a training step
    # released (standard deviation 0.001) | he (keeps the variance from layer to layer): initial weights of the U-Nets
    model.initial_weights = "released"
    model.unet_depth = 7  # number of halvings of the spectrogram
    model.unet_features = 64  # channels after the first halving
    model.plus_features = 64  # the same for the Plus-Net, which is as deep as the Minus-Net
    model.plus_start = "random"  # random | minus_net: the Plus-Net's initial weights, random or the Minus-Net's
    model.plus_looks = False  # whether the Plus-Net returns k maps that the sound's visual vector weights, or one map
    # Log spectrograms that the Plus-Net sees: remix (what its mask acts on, always the first), sound (the one that it
    # completes), remaining (the remaining mixture without that sound), mixture (S_0).
    model.plus_inputs = "remix,sound"
    model.plus_bias = 0.0  # initial bias before the Plus-Net's sigmoid: 0 gives half of the remix back, -3 almost none
    model.resnet_features = 64  # channels of the first stage
    model.resnet_dilated = True  # the last stage (of either frame network) is dilated and keeps its resolution
    model.visual_pooling = "max"  # max | mean | logmeanexp: pooling of a clip's map over frames and places
    model.visual_activation = "sigmoid"  # sigmoid | none: activation of a clip's pooled vector
    model.compute = "float32"  # float32 | bfloat16: type of activations; parameters and statistics stay float32
    model.log_epsilon = 1e-6  # linear magnitude added before the logarithm of the U-Nets' input
    model.stop_gradient_input = True  # whether to stop the gradient at the U-Nets' input
    model.statistics_decay = 0.9  # decay of the running statistics of batch normalisation
    model.statistics_per_step = True  # running statistics for each step of the recursion, whose inputs differ

    config.recursion = recursion = ml_collections.ConfigDict()
    recursion.mask_on = "remaining"  # remaining (Eqs. 2 and 3) | original: mixture that a mask is applied to
    recursion.subtraction = "difference"  # difference (Eq. 3) | product (released code)
    recursion.subtracted = "solo"  # solo: the Minus-Net's sound (Eq. 3) | final: the sound after the Plus-Net
    recursion.energy = "magnitude"  # magnitude | power | written (released code): measure of the loudest candidate
    # ground_truth (Sec. 4.2) | predicted (released code): by descending energy | drawn: as the sources were drawn
    recursion.training_order = "ground_truth"
    recursion.floor = 0.0  # linear magnitude added to the mixture and after each subtraction
    recursion.remainder = "mean"  # mean | rms of the remaining magnitudes: by which the recursion ends
    # Places near a chosen place are closed, up to this share of the map's longer side. 0.15 closes 5 x 5 of 14 x 14
    # places, so six sounds always find an open one.
    recursion.neighbourhood = 0.15
    recursion.place_side = 1  # side of the square of places that is one candidate in counting and separation
    # Whether places whose visual vector (after a sigmoid) has no channel above one half are taken only where no other
    # one is open; when sounds are counted, the recursion then ends. The paper makes no difference (Eq. 7).
    recursion.blank_last = False
    recursion.plus_source = "remix"  # remix (Eq. 9) | others: earlier sounds, or all of S_0 but the step's own sound
    recursion.plus_conserves = False  # whether what the Plus-Net adds to a sound is taken from where it was
    recursion.plus_passes = 1  # how often each sound is completed: in its step, then in sweeps over all (conserving)
    recursion.unroll = "auto"  # auto | yes | no: whether to unroll the loop; auto unrolls on a CPU
    # Whether gradients run the networks of each step again instead of keeping their activations. On a CPU this saves no
    # memory (docs/BENCHMARKS.md).
    recursion.recompute = False

    config.loss = loss = ml_collections.ConfigDict()
    loss.ratio = "absolute"  # absolute (Sec. 4.2) | cross_entropy: loss of ratio masks; binary masks: cross entropy
    # Loss of the sounds after the Plus-Net, for ratio masks: absolute | cross_entropy (of their shares of S_0) |
    # magnitude (relative to the mean of S_0) | log_magnitude | si_sdr (of complex spectrograms) | missed (cross entropy
    # of the Plus-Net's mask M_r with what the sound lacks)
    loss.ratio_plus = "absolute"
    # The same for binary masks: share (cross entropy of the sound's share) | missed (of M_r, with the bins that the
    # thresholded sound lacks)
    loss.binary_plus = "share"
    loss.plus = "effective"  # effective: loss of the complete sound (Eqs. 9 and 10) | sum: loss of M + M_r (the text)
    loss.index_ratio = False  # whether source n of N has the weight 2^n / N (released code)
    loss.remaining = "after"  # after | before (released code, no gradient): remaining mixture at the last step
    loss.remaining_weight = 0.1  # weight of the loss of this remaining mixture

    loss.class_weight = 0.0  # weight of a classification of the visual vectors; PixelPlayer and the paper have none

    config.miml = miml = ml_collections.ConfigDict()  # only for config.method = "miml"; values of its paper
    miml.classes = 11  # number of classes in the data set; also for loss.class_weight
    miml.class_steps = 1000  # training steps of the class network, with Adam
    miml.class_rate = 1e-3  # its learning rate, which falls to zero
    miml.class_mixtures = 16  # mixtures in such a step
    miml.learns_from = "solos"  # solos | mixtures: clips whose bases and classes are learnt
    miml.mixtures = 1024  # training mixtures of these clips; each clip is factorised once, before the first step
    miml.bases = 25  # bases of a clip (M)
    miml.divergence = "kullback_leibler"  # kullback_leibler | itakura_saito | euclidean
    miml.iterations = 100  # updates in the factorisation of a clip
    miml.features = 1024  # width of the network's first layer
    miml.concepts = 4  # sub-concepts of a class (K)
    miml.threshold = 0.5  # least relation of a basis to its class, in units of an equal share 1 / classes
    miml.bases_of_class = 200  # greatest number of bases of a class in separation
    miml.separation_iterations = 30  # updates of the gains in separation

    config.optimiser = optimiser = ml_collections.ConfigDict()
    optimiser.name = "sgd"  # sgd | adam | adam_l2 | adamw | muon
    optimiser.learning_rate = 1e-3
    optimiser.round_scale = round_scale = ml_collections.ConfigDict()  # factors of the learning rate, by round
    round_scale.minus = round_scale.plus = round_scale.both = 1.0
    optimiser.scale = scale = ml_collections.ConfigDict()  # factors of the learning rate, by part of the networks
    scale.frame_trunk = 0.1  # pretrained on ImageNet
    scale.frame_head = 1.0
    scale.minus_net = 1.0  # also PixelPlayer's sound network and synthesizer, and MIML's network
    scale.plus_net = 1.0
    # steps (x0.1 at the boundaries) | cosine (to zero) | exponential | constant; restarts in each round
    optimiser.schedule = "steps"
    optimiser.boundaries = (0.4, 0.8)  # steps: shares of a round after which the rate falls
    optimiser.decay = 0.94  # exponential: factor of the rate (MIML's paper)
    optimiser.decay_steps = 20  # exponential: number of steps after which it is applied each time
    optimiser.warmup_steps = 0
    optimiser.momentum = 0.9  # sgd only
    optimiser.weight_decay = 1e-4  # sgd, adam_l2: coupled; adamw, muon: decoupled
    optimiser.average_decay = 0.0  # decay of a running mean of the weights, which is evaluated; 0 keeps none

    config.log_every = 20  # steps between progress lines; the losses of every step are always written
    config.summary_every = 500  # steps between images and sounds for TensorBoard
    config.validate_every = 1000  # steps
    config.checkpoint_every = 1000  # steps

    config.evaluation = evaluation = ml_collections.ConfigDict()
    evaluation.mixtures = 256  # fixed mixtures of the test split
    evaluation.validation_mixtures = 64  # fixed mixtures of the validation split, scored during training
    evaluation.other_mixtures = 256  # fixed test mixtures of each other number of sounds (--mix)
    evaluation.batch_size = 16  # mixtures in a batch, over all devices; results do not depend on it
    evaluation.level_difference_db = 6.0  # greatest level difference between sources
    # uniform (level against the first source) | triangular (difference of any two; each level is uniform)
    evaluation.level_distribution = "uniform"
    evaluation.floor_dbfs = -40.0  # windows below this level, in a video scaled to mixing.level_dbfs, are not used
    evaluation.seed = 1  # seed of the fixed mixtures
    evaluation.bss = "fft"  # implementation of BSS Eval: fft (this project) | mir_eval (the package, slower)
    evaluation.plus_threshold = 0.0  # the Plus-Net's mask adds nothing to a written sound below; 0: binary masks 0.5
    evaluation.examples = 12  # mixtures shown in the report

    evaluation.counting = counting = ml_collections.ConfigDict()  # counting of sounds (--counting)
    counting.mixtures = 240  # fixed mixtures of the test split, and as many of the validation split to choose epsilon
    counting.clips = 6  # visible clips in a mixture, of which 0 to 5 sound
    counting.silence_dbfs = -60.0  # a remaining mixture below white noise of this level is silence

    evaluation.places = places = ml_collections.ConfigDict()  # localisation of sounds (--localisation)
    places.name = "rendered_small"  # data set with boxes in its test split
    places.frame_px = 160  # shorter side of its frames; the central square is used
    places.mixtures = 110  # fixed scenes of each kind

    evaluation.far = far = ml_collections.ConfigDict()  # a data set far from the training data (--far)
    far.name = "rendered_far"  # data set whose test split has other timbres, melodies and pictures
    far.mixtures = 220  # fixed mixtures of it, with the run's number of sounds

    config.compare = compare = ml_collections.ConfigDict()  # the cells of mpnet_jax.compare: methods x settings x seeds
    compare.methods = ("mnet", "mnet_longer", "mpnet", "pixelplayer", "miml")
    compare.settings = ("binary-mix2", "ratio-mix2", "ratio-mix3")  # mask and sounds in training; MIML has no mask
    compare.seeds = (0, 1, 2)
    compare.changes = ()  # "method: field=value field=value" for fields that this method alone changes
    compare.mixes = (2, 3, 4, 5)  # numbers of sounds on which every cell is evaluated
    compare.far = True  # whether to evaluate on config.evaluation.far
    compare.counting = True  # whether to count sounds with MP-Net
    compare.localisation = True  # whether to localise sounds with MP-Net

    compare.ablations = ablations = ml_collections.ConfigDict()  # evaluated on the validation split alone
    ablations.changes = ()  # "method name: field=value field=value", each compared with the unchanged method
    ablations.setting = "ratio-mix2"
    ablations.seeds = (0,)
    ablations.mixes = (2, 3)  # numbers of sounds
    return config
