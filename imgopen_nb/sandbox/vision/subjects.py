"""What a picture shows: ImageNet's classes read in groups, coarse where the fine is unsure."""

from __future__ import annotations

import json
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


# ImageNet's classes follow WordNet up to 397 (animals), then the alphabet, then food and scenery.
GROUPS = (
    Group("fish", "animal", "0-1 389-397"),
    Group("shark", "animal", "2-4"),
    Group("ray", "animal", "5-6"),
    Group("bird", "animal", "7-24 80-100 127-146"),
    Group("salamander", "animal", "25-29"),
    Group("frog", "animal", "30-32"),
    Group("turtle", "animal", "33-37"),
    Group("lizard", "animal", "38-48"),
    Group("crocodile", "animal", "49-50"),
    Group("dinosaur", "animal", "51"),
    Group("snake", "animal", "52-68"),
    Group("spider", "animal", "72-77"),
    Group("beetle", "animal", "300-307"),
    Group("insect", "animal", "69-71 78-79 308-320"),
    Group("butterfly", "animal", "321-326"),
    Group("elephant", "animal", "101 385-386"),
    Group("marsupial", "animal", "102-106"),
    Group("sea creature", "animal", "107-112 115-117 327-329"),
    Group("snail", "animal", "113-114"),
    Group("crab", "animal", "118-121 125"),
    Group("lobster", "animal", "122-124 126"),
    Group("whale", "animal", "147-148"),
    Group("sea lion", "animal", "149-150"),
    Group("dog", "animal", "151-268"),
    Group("wild dog", "animal", "269-276"),
    Group("fox", "animal", "277-280"),
    Group("cat", "animal", "281-285"),
    Group("big cat", "animal", "286-293"),
    Group("bear", "animal", "294-297"),
    Group("small mammal", "animal", "298-299 333-338 356-363 387"),
    Group("rabbit", "animal", "330-332"),
    Group("horse", "animal", "339"),
    Group("zebra", "animal", "340"),
    Group("pig", "animal", "341-343"),
    Group("hippopotamus", "animal", "344"),
    Group("cow", "animal", "345-347"),
    Group("sheep", "animal", "348-350"),
    Group("antelope", "animal", "351-353"),
    Group("camel", "animal", "354-355"),
    Group("sloth", "animal", "364"),
    Group("ape", "animal", "365-369"),
    Group("monkey", "animal", "370-384"),
    Group("panda", "animal", "388"),
    Group("car", "vehicle", "407 436 468 511 573 575 581 609 627 656 661 751 817"),
    Group("truck", "vehicle", "555 569 675 717 803 864 867"),
    Group("van", "vehicle", "734 757"),
    Group("bus", "vehicle", "654 779 874"),
    Group("train", "vehicle", "466 547 565 705 820 829"),
    Group("bicycle", "vehicle", "444 671 880"),
    Group("motorcycle", "vehicle", "665 670"),
    Group("tractor", "vehicle", "595 621 730 856 866"),
    Group("aeroplane", "vehicle", "404 895 908"),
    Group("airship", "vehicle", "405 417"),
    Group("rocket", "vehicle", "657 744 812"),
    Group("tank", "vehicle", "408 586 847"),
    Group("boat", "vehicle", "472 484 554 576 625 724 780 814 871 914"),
    Group("ship", "vehicle", "403 510 628 833 913"),
    Group("carriage", "vehicle", "603 612 690"),
    Group("tower", "building", "437 442 682 900"),
    Group(
        "building",
        "building",
        "410 425 449 483 497 500 538 580 624 634 660 663 668 698 706 727 743 832 853 858 884",
    ),
    Group("bridge", "building", "525 821 839 888"),
    Group("monument", "building", "562 649 708 863 873"),
    Group("shop", "place", "415 424 454 467 509 582 762 788 860 865"),
    Group("stage", "place", "406 498 577 598 819 854"),
    Group("pier", "place", "460 536 718"),
    Group("fence", "thing", "421 489 716 825 912"),
    Group("construction crane", "thing", "517 540"),
    Group("mountain landscape", "landscape", "970 972 979 980"),
    Group("seashore", "landscape", "973 975-978"),
    Group("geyser", "landscape", "974"),
    Group("flower", "plant", "984-986"),
    Group("plant", "plant", "738 958 987-990 998"),
    Group("mushroom", "plant", "947 991-997"),
    Group("food", "food", "924-927 930-935 959-965"),
    Group("dessert", "food", "928-929"),
    Group("vegetable", "food", "936-946"),
    Group("fruit", "food", "948-957"),
    Group("drink", "food", "441 572 966-969"),
    Group("cup", "thing", "504 647"),
    Group("bottle", "thing", "440 720 737 898 901 907"),
    Group("jar", "thing", "653 725 883 899 505 849"),
    Group("cooking utensil", "thing", "499 521 544 567 618 766 813 828 891 909-910"),
    Group("bowl", "thing", "469 659 809 923"),
    Group("ball", "thing", "429-430 522 574 722 746 768 805 852 890"),
    Group("clock", "thing", "409 530-531 604 826 835 892"),
    Group(
        "musical instrument",
        "thing",
        "401-402 420 432 486 513 541 546 558 566 579 593-594 641-642 683-684 687 699 776 822 875 "
        "881 889",
    ),
    Group("gun", "thing", "413 471 763-764"),
    Group("computer", "thing", "508 527 590 620 664 673 681 782 810 878"),
    Group("telephone", "thing", "487 528 605 707"),
    Group("camera", "thing", "732 759"),
    Group("screen", "thing", "688 851 916"),
    Group("lamp", "thing", "619 818 846 862 470"),
    Group("chair", "thing", "423 559 703 765 831 857"),
    Group("table", "thing", "526 532 736"),
    Group("cupboard", "thing", "453 493 495 548 553 648 894"),
    Group("bed", "thing", "431 516 520 564"),
    Group("household appliance", "thing", "534 545 550 606 651 742 760 811 827 859 882 897 589"),
    Group("tool", "thing", "473 477 512 587 596 623 695 726 731 740 783-784 792"),
    Group("helmet", "clothing", "433 439 518 560 715"),
    Group("hat", "clothing", "452 515 667 793 808"),
    Group("pair of glasses", "clothing", "836-837"),
    Group("uniform", "clothing", "465 652"),
    Group("suit", "clothing", "457 834 906"),
    Group("gown", "clothing", "399-400 501 578 601 614 689 775 887"),
    Group("jacket", "clothing", "474 568 617 735 841 869 610"),
    Group("shoe", "clothing", "502 514 630 770 774"),
    Group("mask", "clothing", "570 643 691 796"),
    Group("printed page", "page", "458 549 692 917-918 921-922"),
    Group("road sign", "thing", "919"),
    Group("traffic light", "thing", "920"),
)

# Names that read badly in a sentence, by index.
RENAMED = {
    134: "crane (bird)",
    282: "tabby cat",
    285: "tabby cat",
    281: "tabby cat",
    657: "rocket",
    744: "rocket",
    638: "leotard",
    998: "ear of grain",
    836: "pair of sunglasses",
    837: "pair of sunglasses",
    842: "swimwear",
    916: "screenshot",
    919: "road sign",
    967: "cup of espresso",
    966: "glass of red wine",
    988: "acorn",
    665: "motorcycle",
    348: "ram",
    97: "drake",
    268: "hairless dog",
    339: "horse",
    478: "cardboard box",
    884: "vaulted ceiling",
    421: "balustrade",
    439: "bearskin hat",
    692: "packet",
    590: "handheld computer",
    970: "mountain landscape",
    979: "valley landscape",
    972: "cliff",
    978: "beach",
    975: "lakeshore",
    548: "television cabinet",
    570: "gas mask",
    612: "rickshaw",
    789: "sliding screen",
    21: "kite (bird)",
    968: "cup of tea",
    948: "apple",
    921: "book cover",
    494: "bell",
    986: "orchid",
    984: "flower",
    985: "flower",
    982: "wedding suit",
    956: "custard apple",
    271: "wild wolf",
    804: "soap dispenser",
    971: "bubble",
    506: "spiral",
}

# Classes that pictures without any clear subject fall into; their probability counts for less.
ATTRACTORS = frozenset((
    110, 111, 107, 419, 446, 455, 488, 506, 549, 556, 599, 600, 611, 616, 619, 622, 644, 646, 677,
    712, 720, 723, 733, 753, 783, 794, 815, 818, 854, 885, 904, 905, 911, 916, 971, 417, 470, 584,
    640, 621, 828, 861, 896,
))  # fmt: skip
ATTRACTED = 0.3


@dataclass(frozen=True)
class Subject:
    """What a picture may show.

    `noun` is what to say: the class where it is sure, else its group; `probability` is the
    group's, `finest` the likeliest class in it.
    """

    noun: str
    group: str
    kind: str
    probability: float
    finest: str


@cache
def class_names() -> tuple[str, ...]:
    """Return the names of the 1000 classes as a caption says them."""
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
    named = [(name, home.get(index)) for index, name in enumerate(class_names())]
    keys = [
        (name, group.noun, group.kind) if group else (name, name, "thing") for name, group in named
    ]
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
        """Return what the picture may show, most probable first, each as fine as it is sure."""
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
