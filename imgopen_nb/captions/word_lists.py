"""English words that `terms` treats specially: data only."""

from __future__ import annotations

import re


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


STOP_WORDS = _set(
    """
    a about above across after against all along also although am among an and another any are
    around as at away back be because been before behind being below beneath beside besides between
    both but by can could did do does doing down during each either else etc even every few for from
    further had has have having he her here hers him his how i if in inside into is it its itself
    just like many maybe me more most much my near next no nor not of off on once one only onto or
    other others our out outside over own past per perhaps possibly probably quite rather same
    several she should so some something such than that the their them then there these they this
    those though through to together too toward towards two three four five six seven eight nine ten
    under until up upon us various very via was we were what when where which while who whom whose
    will with within without would you your
    appear appears apparently seem seems look looks seen shown showing shows show depict depicts
    depicting depicted feature features featuring contain contains containing multiple single couple
    bunch lot lots group pair set piece kind sort type
    caption closeup wear wears wearing worn tone tones theme themes focus
    absurdres highres lowres hires tagme commentary masterpiece
    dont doesnt isnt arent wasnt cant wont didnt couldnt
    """
)

# "a close up of", "this image shows", "in the photo", "a black and white photo of" but not
# "taking pictures" or "picture frame".
_PICTURE = r"(?:picture|photograph|photo|image|snapshot|shot|view|pic)s?"
BOILERPLATE = re.compile(
    rf"\bclose ?up\b(?: {_PICTURE})?(?: of\b)?"
    rf"|\b{_PICTURE} (?:of|showing|shows|depicting|depicts|featuring|features|contains)\b"
    rf"|\b(?:in |on )?(?:the|this) {_PICTURE}\b"
    r"|\bin (?:the )?(?:front|background|foreground|middle|center) of\b"
    r"|\b(?:there (?:is|are)|it (?:looks|appears|seems)(?: like| to be)?)\b"
)

PLURALS = {
    **{f"{stem}ves": f"{stem}f" for stem in _set(
        "lea loa shea thie cal hal shel el sel wol werewol hoo scar dwar whar"
    )},
    "knives": "knife", "wives": "wife", "lives": "life", "midwives": "midwife",
    "housewives": "housewife", "jackknives": "jackknife", "themselves": "themselves",
    "people": "person", "persons": "person", "children": "child", "feet": "foot", "teeth": "tooth",
    "geese": "goose", "mice": "mouse", "oxen": "ox", "cacti": "cactus", "fungi": "fungus",
    "octopi": "octopus", "quizzes": "quiz", "axes": "axe", "grandchildren": "grandchild",
    "men": "man",
}  # fmt: skip

# Words that keep their s: singulars, and plurals without a singular ("glasses" is not "glass").
UNCHANGED = _set(
    """
    alas always arkansas asbestos athens atlas bias binoculars bus canvas chaos charles christmas
    clothes corps cosmos dallas eyeglasses gallows gas glasses goggles ibis iris james jeans kansas
    las leggings lens los lucas mars minibus molasses news overalls pajamas pants paris pliers plus
    pyjamas rhinoceros scissors series shorts species sunglasses tennis texas thermos thomas tights
    trellis trousers tweezers underpants vegas venus wales yes
    """
)

# Words in -men that are not plurals.
MEN = _set(
    "abdomen acumen albumen amen bitumen cyclamen hymen lumen omen ramen regimen semen specimen "
    "stamen yemen examen foramen dolmen tiananmen"
)

# Singulars in -ie, -oe, -xe, -che, -she, -sse that only take an s.
LONE = _set(
    """
    auntie barbie beanie birdie bookie bowtie brie brownie budgie calorie collie cookie cowrie cutie
    die doggie foodie genie goalie goodie groupie hippie hoodie junkie kiddie laddie lassie lie
    magpie movie necktie newbie onesie pie pixie prairie rookie selfie smoothie sortie sweetie
    pinkie talkie tie townie veggie walkie yuppie zombie
    aloe canoe doe floe foe hoe horseshoe mistletoe oboe roe shoe snowshoe tiptoe toe woe
    ache apache avalanche backache brioche cache creche headache moustache mustache niche pastiche
    porsche psyche quiche toothache
    axe crevasse mousse pickaxe posse
    """
)

SPELLINGS = {
    "grey": "gray", "greyscale": "grayscale", "greyish": "grayish", "colour": "color",
    "coloured": "colored", "colourful": "colorful", "multicoloured": "multicolored",
    "colouring": "coloring", "discoloured": "discolored", "centre": "center", "theatre": "theater",
    "metre": "meter", "litre": "liter", "fibre": "fiber", "sabre": "saber", "sceptre": "scepter",
    "spectre": "specter", "calibre": "caliber", "jewellery": "jewelry", "jewelled": "jeweled",
    "moustache": "mustache", "aeroplane": "airplane", "aluminium": "aluminum",
    "pyjamas": "pajamas", "pyjama": "pajamas", "doughnut": "donut", "armour": "armor",
    "armoured": "armored", "harbour": "harbor", "neighbour": "neighbor",
    "neighbourhood": "neighborhood", "favourite": "favorite", "parlour": "parlor",
    "vapour": "vapor", "odour": "odor", "humour": "humor", "honour": "honor", "labour": "labor",
    "tyre": "tire", "kerb": "curb", "plough": "plow", "yoghurt": "yogurt", "mould": "mold",
    "moulding": "molding", "cosy": "cozy", "travelling": "traveling", "travelled": "traveled",
    "traveller": "traveler", "blond": "blonde", "whisky": "whiskey", "catalogue": "catalog",
    "programme": "program", "sulphur": "sulfur", "woollen": "woolen", "marvellous": "marvelous",
    "omelet": "omelette", "chequered": "checkered", "mum": "mom",
}  # fmt: skip
