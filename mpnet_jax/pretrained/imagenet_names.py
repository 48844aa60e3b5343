"""Lists the names of sounds that the classes of ImageNet can tell, as plain data.

Class numbers are those of the ILSVRC 2012 challenge: the positions of the WordNet ids in ascending order. Names are the
classes of MUSIC, MUSIC-21, VEGAS and the rendered solos where ImageNet has a class for them, and its other instruments.
ImageNet has no classes for these:

* MUSIC and the rendered solos: clarinet, erhu, tuba.
* MUSIC-21: bagpipe, congas, guzheng, pipa, ukulele; an electric bass looks like an electric guitar.
* VEGAS: baby cry, fireworks, helicopter, snoring.
"""

# Name -> number of each ImageNet class -> its first words in ImageNet's list.
CLASSES_OF: dict[str, dict[int, str]] = {
    # Instruments of MUSIC and of the rendered solos.
    "accordion": {401: "accordion"},
    "acoustic guitar": {402: "acoustic guitar"},
    "cello": {486: "cello"},
    "flute": {558: "flute"},
    "saxophone": {776: "sax"},
    "trumpet": {513: "cornet"},
    "violin": {889: "violin"},
    "xylophone": {642: "marimba"},
    # Instruments of MUSIC-21.
    "banjo": {420: "banjo"},
    "bassoon": {432: "bassoon"},
    "drum": {541: "drum"},
    "electric guitar": {546: "electric guitar"},
    "piano": {579: "grand piano", 881: "upright"},
    # Other instruments of ImageNet.
    "French horn": {566: "French horn"},
    "gong": {577: "gong"},
    "harmonica": {593: "harmonica"},
    "harp": {594: "harp"},
    "maraca": {641: "maraca"},
    "oboe": {683: "oboe"},
    "ocarina": {684: "ocarina"},
    "organ": {687: "organ"},
    "panpipe": {699: "panpipe"},
    "steel drum": {822: "steel drum"},
    "trombone": {875: "trombone"},
    # Sounds of VEGAS. All breeds of dogs lie between the Chihuahua and the Mexican hairless.
    "chainsaw": {491: "chain saw"},
    "dog": {151: "Chihuahua", **dict.fromkeys(range(152, 268), "a breed of dogs"), 268: "Mexican hairless"},
    "printer": {742: "printer"},
    "rail transport": {
        466: "bullet train",
        547: "electric locomotive",
        565: "freight car",
        705: "passenger car",
        820: "steam locomotive",
        829: "streetcar",
    },
    "water flowing": {562: "fountain"},
}
NAMES = tuple(CLASSES_OF)


def label(name: str) -> str:
    """Returns a name as data sets and files have it, such as "acoustic_guitar"."""
    return name.lower().replace(" ", "_")


NAME_OF_LABEL = {label(name): name for name in NAMES}
# Instruments without a class, and a class whose pictures look similar; chosen by eye.
SIMILAR = {"clarinet": "oboe", "tuba": "French horn"}
