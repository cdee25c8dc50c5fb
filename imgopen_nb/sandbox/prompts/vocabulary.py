"""The phrases that prompts are expanded with: data only, no names of artists or of works.

A row without kinds fits every subject; the others fit prompts with a word of their kinds.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """Phrases of one category that fit the same kinds of subject."""

    category: str
    kinds: str
    phrases: tuple[str, ...]


def _r(category: str, kinds: str, phrases: str) -> Row:
    return Row(category, kinds, tuple(phrase.strip() for phrase in phrases.split(",")))


# Words that name a kind of subject; the kind of the first such word in a prompt counts most.
KINDS = {
    "person": "person people man woman girl boy child lady portrait astronaut knight queen king "
    "dancer warrior face nurse soldier sailor witch wizard robot hero crowd family baby bride",
    "animal": "animal cat kitten dog puppy horse fox wolf bear lion tiger bird owl eagle fish "
    "whale dragon rabbit deer elephant butterfly turtle frog panda monkey sheep cow mouse penguin",
    "sea": "sea ocean lake river beach wave waves coast island harbour harbor boat ship sail "
    "lighthouse underwater reef waterfall shore",
    "space": "space galaxy planet star stars nebula cosmos moon rocket spaceship spacecraft comet "
    "asteroid universe orbit mars",
    "city": "city street town skyline building tower castle house village bridge temple church "
    "market station alley architecture palace skyscraper cathedral cottage",
    "interior": "room kitchen interior library cafe bedroom office studio window desk table chair "
    "lamp sofa fireplace",
    "food": "food coffee tea cake bread fruit apple pizza soup dinner breakfast chocolate espresso "
    "cheese sushi salad noodles dessert wine",
    "vehicle": "car taxi truck bus train bicycle bike motorcycle plane aeroplane airplane airship "
    "tram tractor locomotive",
    "landscape": "landscape mountain mountains forest hill hills valley field meadow desert sky "
    "sunset sunrise cloud clouds tree trees garden flower flowers snow canyon volcano "
    "jungle autumn",
}

ROWS = (
    _r("medium", "",
       "digital painting, oil painting, watercolour, gouache, ink drawing, pastel drawing, "
       "charcoal sketch, concept art, storybook illustration, 3D render, linocut print, "
       "screen print, pencil drawing, mixed media collage, matte painting, low-poly render"),
    _r("medium", "person",
       "studio portrait photograph, editorial photograph, character design sheet, "
       "environmental portrait photograph"),
    _r("medium", "animal",
       "wildlife photograph, naturalist's field illustration, macro photograph"),
    _r("medium", "landscape sea",
       "landscape photograph, aerial photograph, plein air painting"),
    _r("medium", "space",
       "deep-space photograph, retro science-fiction poster, cosmic concept art"),
    _r("medium", "city interior",
       "architectural photograph, isometric illustration, architectural visualisation, "
       "street photograph"),
    _r("medium", "food",
       "food photograph, cookbook illustration, still life painting"),
    _r("medium", "vehicle",
       "automotive photograph, technical cutaway illustration, vintage travel poster"),
    _r("light", "",
       "soft diffused light, dramatic side lighting, warm golden light, cool morning light, "
       "strong backlight, chiaroscuro lighting, gentle ambient light, dappled light, "
       "volumetric light"),
    _r("light", "person animal",
       "soft window light, rim lighting, large softbox lighting, catchlights in the eyes"),
    _r("light", "landscape sea city",
       "golden hour light, blue hour light, light breaking through clouds, low winter sun, "
       "light after rain, long evening shadows"),
    _r("light", "space",
       "starlight, distant sunlight, glow of a nebula, hard light of a near star"),
    _r("light", "city interior vehicle",
       "neon glow, light of street lamps, lamplight, reflections on wet ground"),
    _r("light", "food",
       "bright daylight from the side, low-key lighting, soft light from a window"),
    _r("composition", "",
       "rule of thirds, centred composition, wide shot, layered foreground and background, "
       "generous negative space, diagonal composition, strong leading lines, symmetrical "
       "framing"),
    _r("composition", "person",
       "close-up portrait, three-quarter view, full-length view, looking past the camera"),
    _r("composition", "animal",
       "close-up, eye-level view, caught in motion, head in profile"),
    _r("composition", "landscape sea city",
       "panoramic view, view from above, framed by trees, distant horizon, tiny figure for "
       "scale"),
    _r("composition", "food",
       "flat lay from above, close-up of the texture, plated on rustic ceramics"),
    _r("composition", "vehicle space",
       "low angle view, three-quarter front view, sense of huge scale"),
    _r("camera", "",
       "35mm lens, 50mm lens, shallow depth of field, deep focus, medium format, tack sharp "
       "focus, subtle film grain, tilt-shift"),
    _r("camera", "person animal",
       "85mm lens, f/1.8, creamy bokeh"),
    _r("camera", "landscape sea city space",
       "wide-angle lens, long exposure, 24mm lens, f/11"),
    _r("camera", "food",
       "100mm macro lens, f/2.8, focus stacking"),
    _r("camera", "vehicle",
       "panning shot, motion blur in the background"),
    _r("colour", "",
       "muted earth tones, vivid saturated colours, pastel palette, teal and orange palette, "
       "limited palette of three colours, monochrome with one accent, jewel tones, warm "
       "autumn colours, cool blues and greys, complementary colours, delicate colour "
       "gradients"),
    _r("colour", "space",
       "deep indigo and magenta, iridescent colours"),
    _r("colour", "landscape sea",
       "turquoise and sand, misty greens, rose and violet sky"),
    _r("mood", "",
       "serene mood, mysterious mood, nostalgic mood, playful mood, epic mood, dreamlike "
       "mood, quiet and intimate mood, melancholy mood, hopeful mood"),
    _r("mood", "person",
       "confident mood, thoughtful mood, tender mood"),
    _r("mood", "landscape sea space",
       "majestic mood, lonely mood, awe-inspiring mood"),
    _r("mood", "city vehicle",
       "bustling mood, futuristic mood"),
    _r("mood", "food interior",
       "cosy mood, rustic mood"),
    _r("detail", "",
       "rich textures, intricate details, fine brushwork, clean shapes, delicate linework, "
       "visible grain of the material"),
    _r("detail", "person",
       "natural skin texture, flowing fabric, finely drawn hands, wind in the hair"),
    _r("detail", "animal",
       "detailed fur and feathers, bright curious eyes, wet nose and whiskers"),
    _r("detail", "landscape",
       "drifting mist, wildflowers in the foreground, distant mountains, moss and stone"),
    _r("detail", "sea",
       "foam on the waves, reflections on the water, wet sand, gulls in the distance"),
    _r("detail", "space",
       "dust clouds, rings and moons, lens flare, scattered stars"),
    _r("detail", "city",
       "weathered stone, wet cobblestones, glowing windows, ivy on the walls"),
    _r("detail", "interior",
       "worn wooden furniture, dust in the light, stacks of books"),
    _r("detail", "food",
       "rising steam, crumbs on the table, glossy surface, fresh herbs"),
    _r("detail", "vehicle",
       "polished chrome, scratched paint, dust on the road"),
    _r("quality", "",
       "highly detailed, sharp focus, high resolution, polished finish, professional "
       "quality, award-winning, crisp edges, balanced contrast"),
)  # fmt: skip

# Categories take turns in this order until a prompt is long enough.
ORDER = ("medium", "light", "detail", "composition", "colour", "quality", "mood", "camera")
