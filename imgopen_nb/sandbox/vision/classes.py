"""The things that may be named: common words for ImageNet's and COCO's classes, with their tags.

Only what stands here is ever said. Breeds and look-alike species share one word, and words that
would insult a person (or stand for underwear, toilets, weapons and the like) are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# By kind, a row per family: its noun (with the tag after ":", "" for none) and the indices of its
# classes in ImageNet's order; after "|", nouns for some of these.
FAMILIES = {
    "animal": """
        fish 0-1 389-397
        shark 2-4
        bird 7-24 80-100 127-146 | chicken 7-8, ostrich:bird 9, eagle 22, vulture:bird 23, owl 24,
            peacock:bird 84, parrot 87-90, hummingbird:bird 94, toucan:bird 96, duck 97-98,
            goose:bird 99, swan:bird 100, stork:bird 127-128, flamingo:bird 130,
            pelican:bird 144, penguin 145
        amphibian:animal 25-32 | frog 30-32, salamander:animal 25-29
        turtle 33-37
        reptile:animal 38-50 | lizard 38-48, crocodile:animal 49-50
        snake 52-68
        spider 72-77
        insect:bug 70 78-79 300-320 | ladybug 301, bee 309, dragonfly 319-320, beetle 300 302-307,
            grasshopper:bug 311-312, praying mantis:bug 315
        scorpion:animal 71
        butterfly 321-326
        elephant 101 385-386
        marsupial:animal 102-106 | koala:animal 105
        sea creature:animal 107-109 112 115-117 327-329 | jellyfish 107, starfish 327
        snail 113-114
        crab 118-121 125
        lobster:animal 122-124
        whale 147-148
        seal:seal_(animal) 149-150
        dog 151-268
        wild dog:animal 269-276 | wolf 269-271, hyena:animal 276
        fox 277-280
        cat 281-285
        big cat:animal 286-293 | lynx:animal 287, lion 291, tiger 292, cheetah:animal 293
        bear 294-297 | polar bear 296
        small mammal:animal 298-299 333-338 356-363 387 | meerkat:animal 299, hamster 333,
            squirrel 335, beaver:animal 337, otter 360, armadillo:animal 363
        rabbit 330-332
        horse 339
        zebra:animal 340
        wild boar or pig:pig 341-343 | pig 341
        hippopotamus:animal 344
        cow 345-347 | bison:animal 347
        sheep 348-349
        hoofed animal:animal 350-353
        camel or llama:animal 354-355 | camel:animal 354, llama:animal 355
        sloth:animal 364
        ape:animal 365-369 | orangutan:animal 365, gorilla:animal 366
        monkey 370-384 | lemur:animal 383
        panda 388
        """,
    "vehicle": """
        car 407 436 468 511 573 575 581 609 627 656 661 751 817 | race car:racecar 751
        truck 555 569 675 717 803 864 867 | fire engine:truck 555
        van 734 757
        bus 654 779 874
        train 466 547 565 705 820 829 | tram:train 829, steam locomotive:train 820
        bicycle 444 671 880
        motorcycle 665 670
        tractor:motor_vehicle 595 730 856 866
        airplane 404 895 908
        airship 405
        rocket 657 744 812
        tank 408 586 847
        boat:watercraft 472 484 554 576 625 724 780 814 871 914
        ship 403 510 628 833 913
        carriage: 603 612 690
        """,
    "building": """
        tower 437 442 682 900 | lighthouse 437
        building 410 425 449 483 497 500 538 580 634 660 663 668 698 727 743 832 853 858 |
            castle 483, church:building 497
        bridge 821 839 888
        monument:statue 562 649 708 863 873
        """,
    "place": """
        shop 415 424 454 467 509 582 788 860 865
        stage 406 498 577 598 819 854
        pier 460 536 718
        """,
    "thing": """
        fence 421 489 716 912
        construction crane:crane_(machine) 517
        cup 504 647
        bottle 440 720 737 898 901 907
        vessel: 653 725 883 899 505 849 | teapot 849
        cooking utensil: 499 521 544 567 618 766 813 828 909-910 | frying pan:frying_pan 567
        bowl 469 659 809
        ball 429-430 522 574 722 768 805 852 890 | soccer ball:soccer_ball 805,
            tennis ball:tennis_ball 852
        clock 409 530-531 604 826 835 892
        musical instrument:instrument 401-402 420 432 486 513 541 546 558 566 579 593-594 641-642
            683-684 687 699 776 822 875 881 889 | guitar 402 546, piano 579 881, drum 541,
            violin 889
        computer 508 527 590 620 664 673 681 782 810 | laptop 620 681
        telephone:phone 487 528 605 707
        camera 732 759
        television 851
        lamp 619 818 846 | table lamp:lamp 846
        chair 423 559 703 765 857
        couch 831
        table 526 532 736 | desk 526
        cabinet 453 493 495 548 553 648 894 | bookcase:bookshelf 453
        bed 431 516 520 564
        household appliance: 534 545 606 651 742 760 811 827 859 882 897 | electric fan:electric_fan
            545, microwave oven:microwave 651, refrigerator 760, stove 827,
            washing machine:washing_machine 897
        tool: 473 477 512 587 596 623 695 726 740 783-784 792 | hammer 587, screwdriver 784
        road sign:road_sign 919
        traffic light:traffic_light 920
        tripod: 872
        umbrella 879
        backpack 414
        balloon: 417
        barrel 427
        bucket 463
        candle 470
        envelope 549
        pillow 721
        teddy bear:teddy_bear 850
        microphone: 650
        typewriter: 878
        tent: 672
        parachute: 701
        jigsaw puzzle: 611
        """,
    "landscape": """
        mountain landscape:mountain 970 972 979 980
        shore 975-978 | beach 978
        """,
    "plant": """
        flower 984-986
        plant 738 987 989 998
        mushroom 947 991-992 997
        """,
    "food": """
        food 924-927 930-935 959 962-965 | pizza 963, hot dog:hot_dog 934, burger 933, bagel:bread
            931, pretzel:food 932, baguette:bread 930
        dessert 928-929 | ice cream:ice_cream 928
        vegetable 936-946 | cabbage 936, broccoli 937, cauliflower:vegetable 938, cucumber 943,
            bell pepper:vegetable 945, artichoke:vegetable 944
        fruit 948-957 | apple 948, strawberry 949, orange:orange_(fruit) 950, lemon 951,
            pineapple 953, banana 954, pomegranate:fruit 957
        drink 441 572 966-968 | cup of espresso:coffee 967, cup of tea:tea 968
        """,
    "clothing": """
        helmet 518 560
        hat 452 515 808
        pair of sunglasses:sunglasses 836-837
        military uniform:military_uniform 652
        suit 834 906
        shoe:shoes 502 514 630 770 774
        """,
    "page": "printed page: 692 917-918 921-922",
}  # fmt: skip

# COCO's classes as captions name them, with their tags; those that are missing are never named.
COCO = {
    "bicycle": "bicycle", "car": "car", "motorcycle": "motorcycle", "airplane": "airplane",
    "bus": "bus", "train": "train", "truck": "truck", "boat": "watercraft",
    "traffic light": "traffic_light", "bench": "bench", "bird": "bird", "cat": "cat", "dog": "dog",
    "horse": "horse", "sheep": "sheep", "cow": "cow", "elephant": "elephant", "bear": "bear",
    "zebra": "animal", "giraffe": "animal", "backpack": "backpack", "umbrella": "umbrella",
    "handbag": "handbag", "tie": "necktie", "suitcase": "suitcase", "skis": "", "snowboard": "",
    "sports ball": "ball", "skateboard": "skateboard", "surfboard": "surfboard",
    "tennis racket": "tennis_racket", "bottle": "bottle", "wine glass": "wine_glass", "cup": "cup",
    "fork": "fork", "knife": "knife", "spoon": "spoon", "bowl": "bowl", "banana": "banana",
    "apple": "apple", "sandwich": "sandwich", "orange": "orange_(fruit)", "broccoli": "broccoli",
    "carrot": "carrot", "hot dog": "hot_dog", "pizza": "pizza", "donut": "doughnut",
    "cake": "cake", "chair": "chair", "couch": "couch", "potted plant": "potted_plant",
    "bed": "bed", "dining table": "table", "television": "television", "laptop": "laptop",
    "keyboard": "keyboard_(computer)", "mobile phone": "cellphone", "microwave": "microwave",
    "oven": "oven", "refrigerator": "refrigerator", "book": "book", "clock": "clock",
    "vase": "", "teddy bear": "teddy_bear",
}  # fmt: skip


class Family(NamedTuple):
    """Classes of one kind that share a noun; `words` has a noun for some of them."""

    noun: str
    kind: str
    members: tuple[int, ...]
    words: dict[int, str]


def indices(members: str) -> Iterator[int]:
    """Yield the numbers of a list such as "0-1 389"."""
    for part in members.split():
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


TAGS: dict[str, str] = {}


def _word(entry: str) -> tuple[str, tuple[int, ...]]:
    """Read "noun:tag 1 3-4", and note the noun's tag."""
    found = re.fullmatch(r"([a-z ]+?)(:\S*)? ([-\d ]+)", " ".join(entry.split()))
    assert found, entry
    noun, tag, members = found.groups()
    TAGS[noun] = noun.replace(" ", "_") if tag is None else tag[1:]
    return noun, tuple(indices(members))


def _families() -> Iterator[Family]:
    for kind, text in FAMILIES.items():
        for row in _rows(text):
            whole, _, parts = row.partition("|")
            noun, members = _word(whole)
            words = {
                index: word
                for part in parts.split(",")
                if part.strip()
                for word, some in [_word(part)]
                for index in some
            }
            yield Family(noun, kind, members, words)


def _rows(text: str) -> list[str]:
    """Return a kind's rows, each with its continuation lines, which are indented deeper."""
    return [" ".join(row.split()) for row in re.split(r"\n(?: {8})?(?! )", text) if row.strip()]


GROUPS = tuple(_families())
