"""What a picture shows: ImageNet's classes in groups, named coarsely if the class is unsure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .arrays import Array
from .networks import MODELS


class Group(NamedTuple):
    """Classes that share a noun: its kind, and index ranges of ImageNet's (WordNet) order."""

    noun: str
    kind: str
    members: str


# The nouns of each kind with the indices of their classes. ImageNet's classes follow WordNet up to
# 397 (animals), then the alphabet, then food and scenery.
NOUNS = {
    "animal":
        "fish 0-1 389-397, shark 2-4, ray 5-6, bird 7-24 80-100 127-146, salamander 25-29, "
        "frog 30-32, turtle 33-37, lizard 38-48, crocodile 49-50, dinosaur 51, snake 52-68, "
        "spider 72-77, beetle 300-307, insect 69-71 78-79 308-320, butterfly 321-326, "
        "elephant 101 385-386, marsupial 102-106, sea creature 107-112 115-117 327-329, "
        "snail 113-114, crab 118-121 125, lobster 122-124 126, whale 147-148, sea lion 149-150, "
        "dog 151-268, wild dog 269-276, fox 277-280, cat 281-285, big cat 286-293, bear 294-297, "
        "small mammal 298-299 333-338 356-363 387, rabbit 330-332, horse 339, zebra 340, "
        "pig 341-343, hippopotamus 344, cow 345-347, sheep 348-350, antelope 351-353, "
        "camel 354-355, sloth 364, ape 365-369, monkey 370-384, panda 388",
    "vehicle":
        "car 407 436 468 511 573 575 581 609 627 656 661 751 817, "
        "truck 555 569 675 717 803 864 867, van 734 757, bus 654 779 874, "
        "train 466 547 565 705 820 829, bicycle 444 671 880, motorcycle 665 670, "
        "tractor 595 621 730 856 866, aeroplane 404 895 908, airship 405 417, rocket 657 744 812, "
        "tank 408 586 847, boat 472 484 554 576 625 724 780 814 871 914, ship 403 510 628 833 913, "
        "carriage 603 612 690",
    "building":
        "tower 437 442 682 900, "
        "building 410 425 449 483 497 500 538 580 624 634 660 663 668 698 706 727 743 832 853 858 "
        "884, "
        "bridge 525 821 839 888, monument 562 649 708 863 873",
    "place":
        "shop 415 424 454 467 509 582 762 788 860 865, stage 406 498 577 598 819 854, "
        "pier 460 536 718",
    "thing":
        "fence 421 489 716 825 912, construction crane 517 540, cup 504 647, "
        "bottle 440 720 737 898 901 907, jar 653 725 883 899 505 849, "
        "cooking utensil 499 521 544 567 618 766 813 828 891 909-910, bowl 469 659 809 923, "
        "ball 429-430 522 574 722 746 768 805 852 890, clock 409 530-531 604 826 835 892, "
        "musical instrument 401-402 420 432 486 513 541 546 558 566 579 593-594 641-642 683-684 "
        "687 699 776 822 875 881 889, "
        "gun 413 471 763-764, computer 508 527 590 620 664 673 681 782 810 878, "
        "telephone 487 528 605 707, camera 732 759, screen 688 851 916, lamp 619 818 846 862 470, "
        "chair 423 559 703 765 831 857, table 526 532 736, cupboard 453 493 495 548 553 648 894, "
        "bed 431 516 520 564, "
        "household appliance 534 545 550 606 651 742 760 811 827 859 882 897 589, "
        "tool 473 477 512 587 596 623 695 726 731 740 783-784 792, road sign 919, "
        "traffic light 920",
    "landscape": "mountain landscape 970 972 979 980, seashore 973 975-978, geyser 974",
    "plant": "flower 984-986, plant 738 958 987-990 998, mushroom 947 991-997",
    "food":
        "food 924-927 930-935 959-965, dessert 928-929, vegetable 936-946, fruit 948-957, "
        "drink 441 572 966-969",
    "clothing":
        "helmet 433 439 518 560 715, hat 452 515 667 793 808, pair of glasses 836-837, "
        "uniform 465 652, suit 457 834 906, gown 399-400 501 578 601 614 689 775 887, "
        "jacket 474 568 617 735 841 869 610, shoe 502 514 630 770 774, mask 570 643 691 796",
    "page": "printed page 458 549 692 917-918 921-922",
}  # fmt: skip
GROUPS = tuple(
    Group(noun, kind, members)
    for kind, rows in NOUNS.items()
    for noun, members in re.findall(r"([a-z][a-z ]*) ([-\d ]*\d)", rows)
)

# Names that read badly in a sentence, by index.
RENAMED = {
    134: "crane (bird)", 282: "tabby cat", 285: "tabby cat", 281: "tabby cat", 657: "rocket",
    744: "rocket", 638: "leotard", 998: "ear of grain", 836: "pair of sunglasses",
    837: "pair of sunglasses", 842: "swimwear", 916: "screenshot", 919: "road sign",
    967: "cup of espresso", 966: "glass of red wine", 988: "acorn", 665: "motorcycle", 348: "ram",
    97: "drake", 268: "hairless dog", 339: "horse", 478: "cardboard box", 884: "vaulted ceiling",
    421: "balustrade", 439: "bearskin hat", 692: "packet", 590: "handheld computer",
    970: "mountain landscape", 979: "valley landscape", 972: "cliff", 978: "beach",
    975: "lakeshore", 548: "television cabinet", 570: "gas mask", 612: "rickshaw",
    789: "sliding screen", 21: "kite (bird)", 968: "cup of tea", 948: "apple", 921: "book cover",
    494: "bell", 986: "orchid", 984: "flower", 985: "flower", 982: "wedding suit",
    956: "custard apple", 271: "wild wolf", 804: "soap dispenser", 971: "bubble", 506: "spiral",
}  # fmt: skip

# Classes that pictures without a clear subject fall into; their probability counts less.
ATTRACTORS = frozenset((
    110, 111, 107, 419, 446, 455, 488, 506, 549, 556, 599, 600, 611, 616, 619, 622, 644, 646, 677,
    712, 720, 723, 733, 753, 783, 794, 815, 818, 854, 885, 904, 905, 911, 916, 971, 417, 470, 584,
    640, 621, 828, 861, 896,
))  # fmt: skip
ATTRACTED = 0.3


@dataclass(frozen=True)
class Subject:
    """What a picture may show.

    `noun` is the class if it is sure, else its group; `probability` is the group's, `finest` the
    likeliest class in it.
    """

    noun: str
    group: str
    kind: str
    probability: float
    finest: str


@cache
def class_names() -> tuple[str, ...]:
    """Return the names of the 1000 classes as captions use them."""
    names = json.loads((MODELS / "imagenet_class_names.json").read_text(encoding="utf-8"))
    return tuple(RENAMED.get(index, name.removesuffix(" dog")) for index, name in enumerate(names))


def _indices(members: str) -> Iterator[int]:
    for part in members.split():
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


@cache
def _table() -> tuple[tuple[tuple[str, str, str], ...], NDArray[np.intp]]:
    """Return the distinct (noun, group, kind) rows, and the row of each of the 1000 classes."""
    home = {index: group for group in GROUPS for index in _indices(group.members)}
    plain = [Group(name, "thing", "") for name in class_names()]
    grouped = [home.get(index, group) for index, group in enumerate(plain)]
    keys = [(name, of.noun, of.kind) for name, of in zip(class_names(), grouped, strict=True)]
    rows = tuple(dict.fromkeys(keys))
    places = {key: place for place, key in enumerate(rows)}
    return rows, np.array([places[key] for key in keys])


@dataclass(frozen=True)
class Reading:
    """The classifier's thousand probabilities, added up by noun, by group and by kind."""

    nouns: dict[str, float]
    groups: dict[str, float]
    kinds: dict[str, float]

    @classmethod
    def of(cls, probabilities: Array) -> Reading:
        """Add up the probabilities, those of `ATTRACTORS` at a part of their weight."""
        weights = probabilities.copy()
        weights[list(ATTRACTORS)] *= ATTRACTED
        rows, places = _table()
        sums: tuple[dict[str, float], ...] = ({}, {}, {})
        for row, mass in zip(rows, np.bincount(places, weights=weights).tolist(), strict=True):
            for level, name in zip(sums, row, strict=True):
                level[name] = level.get(name, 0.0) + mass
        return cls(*sums)

    def subjects(self) -> list[Subject]:
        """Return what the picture may show, most probable first, as a class only if it is sure."""
        rows, _ = _table()
        finest = {
            group: max((self.nouns[noun], noun) for noun, of, _ in rows if of == group)
            for group in self.groups
        }
        kind_of = {group: kind for _, group, kind in rows}
        found = []
        for group, mass in sorted(self.groups.items(), key=lambda item: -item[1]):
            share, noun = finest[group]
            fine = kind_of[group] != "page" and (share >= 0.5 or share >= 0.75 * mass)
            found.append(Subject(noun if fine else group, group, kind_of[group], mass, noun))
        return found
