"""Words for prompts as marketers type them: what the camera and the product may do, in many wordings, and all else.

Alternatives stand in square brackets, `[a|b|]`; `{o}` is the product, `{p}` a part of it, `{s}` a place (`{s2}` without
an article), `{a}` an adjective, `{q}` a thing, `{w}` any word, `{d}` the move's own side, `{e}` the other one, `{c}` the
way round. Verbs are given in their base form; `prompts.py` bends them, and says how strong a motion is.
"""

# ruff: noqa: E501, SIM905 - alternatives that belong together stand on one line, words in rows

from __future__ import annotations

_TO = "[|||on {o}|toward {o}|towards {o}|to {o}|at {o}|onto {p}|toward {p}|on {p}|for a close-up]"
_FROM = "[|||from {o}|away from {o}|from {p}|to a wide shot|to show {s}|to reveal {s}|so we see {s}|off {o}]"
_ROUND = "[around|round|about] [{o}|{o}|it|{p}]"
_ACROSS = "[|||across {s}|across {o}|past {o}|along {s}|over {s}|by {o}|across the [frame|scene|shot|set]]"
_UP = "[|||over {o}|along {o}|from {p} to {p}|to {p}|to the sky|the length of {o}|from the [base|bottom|foot]]"
_DOWN = "[|||over {o}|along {o}|from {p} to {p}|to {p}|to the table|onto {o}|from the [top|cap|lid]]"
_SIDE = "[to the {d}|{d}|{d}ward|{d}wards|toward the {d}|to {d}|over to the {d}|from {e} to {d}|from the {e}]"
_GLIDES = "[move|glide|slide|drift|travel|track|float|sail|sweep|truck|shift|go|roam|creep|fly]"

# Of each move: verbs with what may follow them; nouns; whole clauses. {d} is the move's own side, {e} the other one.
VERBS: dict[str, tuple[str, ...]] = {
    "dolly-in": (
        "[push|dolly|zoom|move|creep|ease|glide|track|come|go|drift|float|punch|inch|fly|close|draw|pull|truck] "
        f"[in|in close|in closer|in tight|inward|right in] {_TO}",
        f"[move|get|come|go|glide|creep|inch|drift|travel|draw|push|float|dolly|zoom] [closer|nearer|up close] {_TO}",
        "[dolly|push|move|track|glide|creep|travel|drift|fly|float|step|ease] [forward|forwards|ahead] "
        "[|||toward {o}|to {o}|on {o}]",
        "[move|glide|travel|track|drift|creep|push|dolly|fly|float|head] [toward|towards|up to|in on|into] [{o}|{p}]",
        "approach [{o}|{p}|it]",
        "[push|zoom|dolly|punch] [into|in to] [{o}|{p}|a close-up|the details|a macro of {p}]",
        "bring [us|the viewer|me] [closer|in] [|to {o}]",
    ),
    "dolly-out": (
        "[pull|dolly|zoom|move|ease|glide|track|come|go|drift|back|creep|push|fly|inch|float] "
        f"[out|back|out wide|backward|backwards|way back] {_FROM}",
        "[move|back|pull|drift|step|glide|fly|travel|creep|float] [away|off] [||from {o}|from it]",
        "[widen|retreat|withdraw|back up] [||from {o}|to show {s}|to reveal {s}]",
        "[zoom|pull] out [until|till|so that] [we see|you can see|the viewer sees] [{s}|everything|it all]",
    ),
    "pan": (
        f"[pan|pan|pan|swing|look|turn|swivel|scan|whip] {_SIDE} {_ACROSS}",
        f"{_GLIDES} {_SIDE} {_ACROSS}",
        f"[pan|slide|track|glide|sweep|drift|truck|move] {_ACROSS} {_SIDE}",
        f"[truck|crab|pan|slide|track|scroll] {_SIDE}",
    ),
    "tilt-up": (
        f"[tilt|tilt|crane|boom|pedestal|look|rise|lift|move|pan|glide|drift|travel|jib|climb|float] [up|upward|upwards] {_UP}",
        "[rise|ascend|climb|lift] [||above {o}|over {o}|past {p}|to {p}]",
    ),
    "tilt-down": (
        f"[tilt|tilt|crane|boom|pedestal|look|move|pan|glide|drift|travel|jib|drop|come|sink|float] "
        f"[down|downward|downwards] {_DOWN}",
        "[descend|sink|lower|drop] [||to {o}|onto {o}|past {p}|to {p}]",
    ),
    "orbit": (
        f"[orbit|circle|arc|revolve|rotate|swing|move|go|glide|travel|walk|spin|turn|curve|sweep|fly|drift|wrap|float] "
        f"{_ROUND} {_SIDE}",
        f"[orbit|arc|circle] {_SIDE} [|||{_ROUND}]",
        f"[orbit|circle] [{{o}}|it] {_SIDE}",
        f"[move|glide|track|travel|drift|walk|go|swing] {_SIDE} {_ROUND}",
        f"[orbit|circle|go|move|rotate|revolve] {_ROUND} [{{c}}|in a {{c}} direction]",
        "[orbit|circle|arc] {c}",
    ),
    "orbit-any": (
        f"[orbit|circle|arc|revolve|rotate|swing|move|go|glide|travel|walk|spin|curve|sweep|fly|wrap|float|turn] {_ROUND}",
        "[orbit|circle|encircle] [{o}|it]",
        "[orbit|arc|circle]",
        f"[go|travel|move|walk|spin] [all the way|180 degrees|360 degrees|half way|360|180] {_ROUND}",
        "show [{o}|it] from [every angle|all sides|all angles|different angles]",
    ),
    "roll": (
        "[roll|bank|lean] {_r}",
        "[rotate|twist|turn|spin] {_r} [around the lens|about the lens axis|around its own lens]",
        "[tilt|lean|tip|roll|cant] the horizon {_r}",
        "[roll|rotate|twist|lean|spin] the [camera|frame|view|shot|image|picture|lens] {_r}",
        "dutch {_r}",
    ),
    "static": (
        "[not move|stay still|stay put|stay fixed|stay locked|remain still|remain static|hold still|stand still]",
        "[stay|remain|hold] [static|stationary|locked|in place|steady|motionless|fixed|on {o}|where it is]",
    ),
}
_R = "[{d}|to the {d}|{d}ward|toward the {d}|{c}|{c}|in a {c} direction]"
VERBS["roll"] = tuple(one.replace("{_r}", _R) for one in VERBS["roll"])

NOUNS: dict[str, tuple[str, ...]] = {
    "dolly-in": (
        f"[push-in|push in|dolly-in|dolly in|zoom-in|zoom in|creep-in|move in|punch-in|zoom|dolly|push|crash zoom] {_TO}",
        "[approach|approach shot|dolly shot in|dolly move in|forward tracking shot|forward dolly|push forward] [|||to {o}]",
        "[dolly|tracking shot|camera move|movement|move|glide|fly-in] [in|toward {o}|towards {o}|closer to {o}|forward]",
        "zoom [into|onto|to|on] [{p}|{o}]",
    ),
    "dolly-out": (
        f"[pull-back|pull back|pullback|dolly-out|dolly out|zoom-out|zoom out|pull-out|pull out] {_FROM}",
        "[backward dolly|backward tracking shot|backwards move|retreat] [||from {o}]",
        "[dolly|tracking shot|camera move|movement|zoom] [out|back|backwards|away from {o}]",
        "[pull-back|zoom-out|pull-out|dolly-out] reveal [||of {s}|of {o}]",
    ),
    "pan": (
        f"[pan|pan|pan shot|camera pan|slide|tracking shot|truck|slider shot|slider move|lateral move|sweep|drift|"
        f"whip pan|lateral slide|side tracking shot|dolly shot] {_SIDE} {_ACROSS}",
        "[{d}|{d}ward|{e}-to-{d}|{e} to {d}] [pan|slide|truck|tracking shot|slider shot|drift|sweep|camera move]",
        f"[pan|slide|tracking shot|slider shot] {_ACROSS} {_SIDE}",
    ),
    "tilt-up": (
        f"[tilt-up|tilt up|crane up|crane shot up|pedestal up|boom up|upward tilt|upward crane|upward pan|rise|rising shot|"
        f"rising crane shot|tilt upwards|vertical tilt up|bottom-to-top tilt|upward move|jib up] {_UP}",
    ),
    "tilt-down": (
        f"[tilt-down|tilt down|crane down|crane shot down|pedestal down|boom down|downward tilt|downward crane|"
        f"downward pan|descending shot|descent|tilt downwards|top-to-bottom tilt|downward move|jib down] {_DOWN}",
    ),
    "orbit": (
        f"[orbit|arc|arc shot|orbit shot|orbital move|circle|orbital shot|rotation|circular move|half orbit|move] "
        f"{_SIDE} [|||{_ROUND}]",
        f"[{{d}}|{{d}}ward] [orbit|arc|arc shot|orbit shot|orbital move] [|||{_ROUND}]",
        f"[orbit|arc|arc shot|circle|circular move|orbital shot|circling shot] {_ROUND} {_SIDE}",
        f"{{c}} [orbit|arc|circle|circular move|orbital shot] [|||{_ROUND}]",
    ),
    "orbit-any": (
        f"[orbit|arc shot|arc|orbital shot|orbit shot|circular tracking shot|circling shot|360 orbit|180 orbit|half orbit|"
        f"360 degree camera move|circular dolly|orbital move] [|||{_ROUND}]",
    ),
    "roll": (
        f"[roll|camera roll|dutch angle|dutch tilt|dutch roll|barrel roll|horizon tilt|camera rotation|canted angle] {_R}",
        "{c} [roll|camera roll|camera rotation|dutch roll|barrel roll|twist of the camera]",
        "[{d}|{d}ward] [roll|dutch angle|camera roll|dutch tilt]",
    ),
    "static": (
        "[static|fixed|locked|locked-off|locked off|stationary|still|tripod|steady|motionless] "
        "[shot|camera|frame|framing|camera shot|tripod shot|composition|camera position|view]",
        "[lock-off|lockoff|locked camera|tripod|fixed tripod|hold|hold on {o}]",
    ),
}
CLAUSES: dict[str, tuple[str, ...]] = {
    "dolly-in": (
        "[start|begin|open|starting|opening] [wide|on a wide shot|far away] [and|then|,] [end|finish|ending] "
        "[close|on a close-up|tight|in close-up] [||on {o}|on {p}]",
        "[from|go from] [wide|a wide shot|a full shot] to [close|a close-up|macro|a tight shot] [||of {p}|of {o}]",
        "[get|take us|bring us|bring me] [closer|up close|in close] [|to {o}|to {p}]",
        "[until|till] [{o}|{p}] fills the [frame|screen|picture]",
        "the [frame|shot] [tightens|closes in] [|on {o}|on {p}]",
        "[ends|finish|end] [in|on] a [tight|extreme|macro] close-up [|of {p}]",
    ),
    "dolly-out": (
        "[start|begin|open|starting|opening] [close|on a close-up|tight|in macro] [||on {p}|on {o}] [and|then|,] "
        "[end|finish|pull out to|widen to|ending] [wide|a wide shot|the full scene|{s}]",
        "[from|go from] [close|a close-up|macro|a tight shot] to [wide|a wide shot|a full shot] [||of {s}]",
        "[revealing|reveal|reveals|showing more of] [{s}|the whole scene|the full scene|the surroundings|the whole room]",
        "the [frame|shot|view] [widens|opens up] [|to reveal {s}|to show {s}]",
    ),
    "tilt-up": (
        "[follow|travel along|scan|trace|reveal] {o} [up|upwards|from bottom to top|from the bottom up|from base to top]",
        "[start|begin|starting] at the [bottom|base|foot|floor] and [end|finish|move|tilt|go] [at|up to|to] the "
        "[top|cap|lid|rim]",
        "[view|shot|frame] [rises|goes up|climbs]",
    ),
    "tilt-down": (
        "[follow|travel along|scan|trace|reveal] {o} [down|downwards|from top to bottom|from the top down]",
        "[start|begin|starting] at the [top|cap|lid|rim] and [end|finish|move|tilt|go] [at|down to|to] the "
        "[bottom|base|foot|table]",
        "[view|shot|frame] [sinks|goes down|drops]",
    ),
    "static": (
        "[no|without|without any|zero] [camera|cam] [movement|motion|move|moves|moves at all]",
        "[no|without] [movement|motion] [of|from|in] the camera",
        "[do not|don't|dont|never] move the [camera|frame|shot]",
        "[the|] camera [does not|doesn't|doesnt|never|must not|should not] [move|move at all|pan or zoom]",
        "[camera|the camera|shot|frame|lens] [on a tripod|is locked|locked|locked off|locked down|fixed|still|static|"
        "stationary|completely still|frozen]",
        "[keep|leave|hold|lock|freeze] the [camera|frame|shot|lens] [still|static|fixed|steady|in place|locked|where it "
        "is|completely still|perfectly still|on {o}|stationary]",
        "[no panning, no zooming|no zoom, no pan|no pans or zooms|no zooming or panning|no pan no zoom]",
        "[hold|lock] the [shot|frame]",
        "[only|just] {o} moves, [not the camera|camera stays still]",
    ),
}

DOUBLED = (
    "pan get spin scan sit bob tip drop wrap crab step whip jib slip swim".split()
)  # their last letter, before -ing
WITHOUT_SIDE: dict[str, tuple[str, ...]] = {
    "pan": (
        "[smooth||] [pan|tracking shot|slider shot|pan shot|camera pans|panning shot|slider move] [across|along|over] [{s}|{o}]",
        "[pan|camera pans|panning shot|slider shot|sideways slide|tracking shot|horizontal pan|camera glides sideways]",
        "camera [glides|slides|moves|tracks] [sideways|horizontally|laterally] [past|along|across|] {o}",
    ),
    "roll": (
        "[camera roll|barrel roll|roll the camera|the camera rolls|dutch angle|dutch tilt|dutch roll|canted angle]",
    ),
}

_ITS = (
    "[|||in place|on the spot|on its axis|on its own axis|around itself|a full turn|360 degrees|360|clockwise|around]"
)
_AIR = "[|||in the air|in mid-air|in midair|above {s}|off the ground|up and down|weightlessly|in space|over {s}]"
_OVER = (
    "[over|across|along|past|down|up|off|around|on] [{o}|{p}|it|the surface|the edges|the curves|the glass|the metal]"
)
_BEAM = (
    "[light|a light|the light|a beam of light|light beam|a soft light|studio light|a highlight|highlights|a glint|a shine|"
    "a sheen|a gleam|a reflection|reflections|a streak of light|a strip of light|sunlight|a ray of light|specular highlights|"
    "a flare|a lens flare|a shimmer|warm light|a spotlight|neon light|a band of light|golden light]"
)
SUBJECT_VERBS: dict[str, tuple[str, ...]] = {
    "float": (
        f"[float|float|hover|levitate|bob|drift] {_AIR}",
        "[rise|lift|lift off] [up|] [off the {s2}|into the air|from {s}|from the table] [and hover|and float|]",
        "[float|hover|bob|drift|levitate] [up and down|like a feather|as if weightless|in zero gravity]",
        "[bounce|bob|sway] [up and down|in the air]",
    ),
    "turn": (
        f"[turn|rotate|spin|revolve|twirl|swivel|pivot] {_ITS}",
        "[turn|rotate|spin] [to show|to reveal|showing|and show] [every side|its back|all sides|{p}|the other side|its "
        "profile]",
        "[turn|rotate|spin] on [a turntable|a pedestal|a plate|a podium|a platform|a rotating stand]",
        "make a [full|complete|half|360] [turn|spin|rotation]",
    ),
    "still": (
        "[stay|remain|sit|stand|rest|be|lie] [still|perfectly still|completely still|motionless|stationary|static|put|in "
        "place|unmoving]",
        "[not move|not move at all|not turn or float|hold still|stay where it is|rest on {s}]",
    ),
}
SUBJECT_NOUNS: dict[str, tuple[str, ...]] = {
    "float": (
        "[floating|levitating|hovering|weightless|bobbing] {o}",
        "[float|levitation|hover|gentle bob|zero gravity|floating effect|levitation effect|weightless float|anti-gravity]",
    ),
    "turn": (
        "[rotating|spinning|turning|revolving|twirling] {o}",
        "[turntable|360 spin|360 rotation|product spin|product rotation|turntable rotation|360 product spin|360 degree "
        "spin|full rotation|spin|rotation|360 view|360 turn] [|||of {o}|of the product]",
    ),
    "still": ("[motionless|unmoving|stationary|still] {o}", "[still|static] product"),
    "light-sweep": (
        "[light sweep|sweep of light|light sweeps|moving light|light pass|travelling highlight|passing light|specular "
        "sweep|light streak|highlight sweep|gleam|glint|shimmer|light sweep effect|moving reflections|moving highlights] "
        f"[|||{_OVER}]",
    ),
}
SUBJECT_CLAUSES: dict[str, tuple[str, ...]] = {
    "float": ("[make|let|have] {o} [float|hover|levitate|bob|float in the air|hover above {s}]", "zero gravity {o}"),
    "turn": (
        "[spin|rotate|turn|twirl|revolve] {o} [||around|360 degrees|on its axis|on a turntable]",
        "[make|let|have] {o} [turn|rotate|spin|revolve|spin around|turn around]",
        "{o} on [a|] [rotating|spinning|turning] [platform|pedestal|turntable|plate|podium|stand]",
    ),
    "still": (
        "[keep|leave|hold] {o} [still|perfectly still|completely still|static|motionless|in place|where it is|stationary]",
        "{o} [does not|doesn't|doesnt|must not|should not] [move|move at all]",
        "[nothing moves|nothing else moves|no product movement|no movement of the product|without moving the product]",
        "[do not|don't|dont] move [{o}|the product]",
    ),
    "light-sweep": (
        f"{_BEAM} [sweeps|glides|moves|passes|runs|travels|slides|rolls|washes|plays|dances|flows|drifts|sweeping|gliding|"
        f"moving|passing|running|travelling|rolling|washing] {_OVER}",
        f"[sweep|pass|move|run|glide|send|drag|roll] {_BEAM} {_OVER}",
        "[light up|catch|catching] [{p}|the edges|the label] [with|in] [a moving light|a passing light|a sweep of light]",
        "{o} [gleams|glints|shimmers|glistens|sparkles] [as|when] [light|the light|a light] [passes|moves|sweeps|glides] "
        "[by|over|across|past]",
        f"[with|add|adding] [a|] [light sweep|sweep of light|glint|gleam|moving highlight|shine] {_OVER}",
    ),
}

MOVING = {
    "float": "[floating|hovering|levitating|weightless|bobbing]",
    "turn": "[rotating|spinning|turning|revolving|twirling]",
    "still": "[motionless|unmoving|stationary|perfectly still]",
    "light-sweep": "[gleaming|glinting|shimmering]",
}

# What asks for neither: words beside.
PRODUCTS = (
    "bottle perfume sneaker shoe watch handbag bag mug cup jar can box phone laptop headphones speaker lipstick "
    "cream serum lotion candle lamp chair sofa ring necklace bracelet earrings sunglasses backpack wallet belt "
    "boot sandal heel hoodie jacket dress shirt hat cap scarf glove sock toy doll bike helmet skateboard "
    "surfboard tent kettle toaster blender pan pot knife spoon plate bowl glass teapot vase plant pillow blanket "
    "rug mirror clock book notebook pen pencil tablet keyboard mouse monitor charger cable battery bulb soap "
    "shampoo conditioner toothbrush razor comb brush powder foundation mascara palette nailpolish sunscreen "
    "deodorant chocolate cookie cake burger pizza sandwich salad coffee tea juice soda beer wine whisky gin "
    "vodka water smoothie yogurt cheese honey jam sauce oil cereal snack bar supplement vitamin pill syringe "
    "mask thermometer drill hammer saw screwdriver flashlight tire car motorcycle scooter stroller tumbler "
    "thermos flask lunchbox tray basket crate bucket umbrella suitcase guitar piano violin console controller "
    "puzzle carton tube spray diffuser earbuds smartwatch router printer leash fridge oven hairdryer iron vacuum "
    "fan heater bench stool desk table shelf cabinet armchair mattress towel robe sweater jeans skirt leggings"
).split()
ADJECTIVES = (
    "red blue green white black gold golden silver pink purple orange yellow beige brown teal matte glossy shiny "
    "elegant minimal modern vintage classic luxury luxurious premium fresh organic natural handmade ceramic "
    "glass leather wooden metal steel marble velvet silk cotton linen crystal transparent frosted pastel neon "
    "bright dark warm cold soft bold sleek stylish chic cozy rustic playful new latest limited signature iconic "
    "tiny small big tall round square delicate sporty rugged waterproof wireless smart vegan sparkling juicy "
    "creamy crispy spicy sweet icy smoky floral fruity refreshing sustainable recycled colourful colorful "
    "beautiful gorgeous stunning dreamy moody dramatic clean simple"
).split()
PARTS = (
    "label logo cap lid base handle rim neck sole laces strap buckle dial screen stitching texture details edge "
    "edges top bottom front back nozzle pump cork zipper sleeve collar spout button crown bezel engraving "
    "packaging tip"
).split()
PLACES = (
    "table;marble table;wooden table;desk;kitchen;kitchen counter;bathroom;bathroom shelf;living room;bedroom;"
    "garden;beach;forest;city street;street;studio;white studio;cafe;bar;restaurant;office;gym;park;rooftop;pool;"
    "lake;mountains;desert;snow;moss;sand;water surface;pedestal;podium;shelf;window;window sill;stone;rocks;"
    "concrete wall;brick wall;pink background;white background;black background;gradient background;flowers;"
    "roses;petals;leaves;palm leaves;silk fabric;neon city;night market;sunset sky;clouds;room;whole room;scene;"
    "set;skyline;market;store;boutique;picnic blanket;campsite;trail;meadow;field;terrace;balcony;fireplace;"
    "christmas tree;festive table;gift boxes;ice cubes;smoke;fog"
).split(";")
MORE = (
    "grey gray crimson scarlet navy cobalt turquoise lime olive mustard peach coral lavender lilac violet "
    "magenta copper bronze chrome brass titanium platinum ivory amber emerald ruby sapphire pearl charcoal cream "
    "khaki burgundy maroon mint aqua indigo mood vibe vibes energy feel feeling look style atmosphere ambience "
    "glow haze shadow shadows shade contrast colour color tone tones palette morning noon afternoon evening "
    "night midnight dawn dusk sunrise sunset twilight winter summer spring autumn monday sunday weekend holiday "
    "birthday wedding party picnic breakfast lunch dinner brunch festival carnival concert rain rainy snow snowy "
    "storm fog foggy mist misty wind windy cloud cloudy sunny sunlit moonlit wet dry icy frozen flame fire "
    "candlelight lantern neon led disco laser torch chandelier mirrorball spark sparks ember embers glitter "
    "sequins foil ribbon bow paper card envelope poster banner sign page letter stamp sticker tag price discount "
    "offer deal coupon gift present airport airplane train station subway tunnel bridge harbour boat ship yacht "
    "car highway garage workshop factory warehouse lab library museum gallery church castle palace tower temple "
    "villa cottage cabin loft attic basement hall hallway corridor stairs doorway door gate fence wall walls "
    "ceiling floor tiles tile carpet parquet plinth altar counter island sink tub shower bath paris london tokyo "
    "berlin milan dubai new york brooklyn california texas iceland italy france japan mexico caribbean alps "
    "nordic scandinavian japanese italian french mexican tropical alpine urban suburban rural coastal "
    "mediterranean oriental tree trees oak pine bamboo cactus fern ivy grass herbs basil tulips lilies orchid "
    "daisy sunflower petals pebbles lemon orange apple pear cherry strawberry blueberry raspberry mango banana "
    "pineapple coconut avocado tomato pepper bread croissant bagel cake pie muffin donut pancake waffle cheese "
    "butter egg eggs bacon steak chicken fish shrimp salmon sushi ramen noodles pasta rice taco burrito curry "
    "soup salad fries chips popcorn pretzel candy gummy caramel vanilla cocoa cinnamon ginger garlic chili "
    "matcha espresso latte cappuccino tea chai cocktail rum tequila champagne cider lager ale bubbles foam "
    "droplets drops splash ripple stream river waterfall ocean sea lagoon cliff cave canyon valley hill dune "
    "dunes jungle savanna prairie tundra glacier iceberg volcano moon mars galaxy planet cosmos nebula astronaut "
    "rocket spaceship dog dogs cat cats puppy kitten horse bird birds seagull dolphin shark lion tiger bear fox "
    "rabbit owl bee butterfly dragonfly man woman girl boy kid kids child children baby toddler mother father "
    "mom dad grandma couple friends family team crowd athlete runner dancer chef barista artist model customer "
    "shopper student doctor nurse gamer rider hiker climber surfer diver hand hands finger fingers face eyes "
    "hair skin lips shoulder arm leg feet body hug smile laugh kiss dream dreams memory story love joy calm "
    "peace power speed strength comfort quality taste flavor aroma scent smell sound silence rhythm magic wonder "
    "luxe lush plush crisp cool hot chill cosy quiet loud wild free brave rich deep pure raw rough silky satin "
    "sheer dense airy weathered rusty dusty brushed polished engraved embossed printed striped dotted checkered "
    "plaid floral geometric abstract futuristic retro noir gothic baroque bohemian boho industrial brutalist "
    "surreal whimsical nostalgic romantic festive spooky energetic peaceful serene tranquil mysterious magical "
    "ethereal majestic heroic intimate tender honest authentic everyday first second last next only every other "
    "same different old young early late long short high low wide narrow heavy thin thick one two three four "
    "five six ten dozen pair set collection range series row stack pile bunch handful piece slice bit kind "
    "campaign commercial advert teaser trailer reel reels post feed website landing storefront ecommerce amazon "
    "etsy instagram tiktok youtube facebook launch drop promo hero cover thumbnail seconds clip footage "
    "animation render cgi 3d wood walnut maple cork rattan wicker clay terracotta porcelain enamel acrylic resin "
    "plastic rubber denim wool cashmere fleece lace mesh nylon canvas suede fur feather diamond gold silver iron "
    "aluminium concrete granite slate brick headset gamepad joystick arcade dumbbell barbell yoga mat racket "
    "ball goggles ski skis snowboard boots sled rope anchor compass map globe telescope binoculars microscope "
    "easel brush paint frame sculpture statue vinyl record turntable amp microphone drum drums trumpet flute "
    "harp radio cassette typewriter scissors needle thread button zipper hanger broom mop soft-serve latte-art "
    "shampoo bar sachet pouch blister capsule dropper ampoule jarful canister keg barrel bucket hamper tin"
).split()
OTHERS = (
    "[free shipping|fast delivery|20 % off|50% off|up to {w} off|save {w}|buy two] [on orders above 50 dollars|until {w}|this week|on all {q}|today|, shop now]",
    "{o} [is|was|] [parked|placed|standing|sitting|lying|left|waiting|displayed|hanging|packed|wrapped] [in|on|at|by|from] [{s}|a {w}|a hook]",
    "[a cat|a dog|she|he|a girl|the model|a baby|a man with {w}] [looks at us|looks at the camera|smiles at the camera|looks away|waves|holds {o}|picks up {o}|opens {o}]",
    "[headlights|crowds|bees|tea leaves|seagulls|lanterns|embers|ribbons|balloons] [pass|swirl|hum|circle|glow|rise|flicker|bob] [by|around|outside|about|in the distance|behind {o}]",
    "[{w}|{w} {w}|{w} {w} {w}|{w} and {w}|{w}, {w}, {w}|{a} {w} {w}|a {a} {w}|{w} [at|in|on|with|of|for] {w}|the {w} of {w}]",
    "[{w} {w}, {w} {w}|{a} {w}, {a} {w}|{w} everywhere|like a {a} {w}|a hint of {w}|so {a}|very {a} and {a}|{a}, {a}, {a}]",
    "steam [rises|rising|curls|drifts] [from|off] [{o}|the cup]",
    "[smoke|mist|fog|vapour] [drifts|swirls|curls|rolls|rising|moves] [in the background|around|through the scene|behind]",
    "[leaves|petals|snowflakes|feathers|confetti|sparks|dust particles|bubbles|raindrops] [fall|falling|float|drift|swirl|fly|"
    "floating|rise] [around|in the background|everywhere|through the air|down|behind {o}]",
    "[waves|the sea|water] [rolls|roll|crash|crashing|ripples|splashes|moves] [onto the beach|on the shore|in the background|"
    "gently|behind {o}]",
    "[people|a woman|a man|a model|friends|children|a crowd|customers|a dog|a cat] [walk|walks|walking|dance|dancing|laugh|"
    "laughing|smile|run|turns around|looks up|sit] [in the background|behind|by|past|on the street|together|]",
    "[curtains|flowers|trees|grass|palm trees|a flag] [sway|swaying|move|blow|blowing] in the [wind|breeze]",
    "[clouds|stars|cars|birds|city lights|traffic] [drift|move|moving|pass|passing|rush|fly] [by|past|in the background|across "
    "the sky|over the city]",
    "[rain|snow|sunlight|sun|moonlight] [falls|pours in|streams in|comes through the window|shines|sets|rises|in the window]",
    "[coffee|milk|honey|sauce|water|juice|wine] [pours|is poured|drips|flows|splashes] [into|over] [{o}|the glass|the cup]",
    "[ice cubes|lemon slices|berries|beans] [fall|drop|tumble] into [the glass|{o}|the water]",
    "[upbeat|soft|epic|calm|electronic|jazzy] [music|soundtrack|beat]",
    "[for|our|the] [summer|winter|spring|autumn|black friday|christmas|holiday|new year|launch|valentines] "
    "[sale|campaign|collection|launch|drop|ad|promo|edition]",
    "[4k|8k|hd|hdr|ultra realistic|photorealistic|hyper detailed|high quality|cinematic|cinematic lighting|film grain|35mm|"
    "50mm lens|anamorphic|macro lens|shallow depth of field|bokeh|soft bokeh|slow motion|24fps|golden hour|soft shadows|"
    "studio lighting|natural light|soft light|moody lighting|rim light|backlit|high contrast|vibrant colors|pastel tones|"
    "minimalist|luxury vibe|premium feel|high end|editorial style|clean look|vogue style|apple style|aesthetic|tiktok style]",
    "[make it|it should|should] [feel|look|be] [premium|expensive|cinematic|luxurious|fresh|cozy|like an ad|more alive|like a "
    "movie|amazing|epic|natural|real|clean|smooth|elegant]",
    "[handheld|natural handheld feel|slight handheld shake|smooth|seamless loop|loop|looping|no text|no people|no logo|keep the "
    "label readable|do not change the product|don't change the logo|keep the text sharp|same lighting]",
    "[make it move|bring it to life|animate this|animate it|make a video|create a video|generate a video|make an ad|do something "
    "nice|surprise me|make it pop|add some motion|give it life|make it dynamic|a video for instagram|reels ad]",
    "[bread roll|sushi roll|roll of tape|cinnamon rolls|rolling hills|rolling pin|rolling suitcase|roll-on deodorant|rock and "
    "roll] [on {s}|in {s}|with {o}|]",
    "[frying pan|pan of pasta|saucepan|a hot pan|pan pizza|peter pan costume] [on {s}|in {s}|on the stove|with {o}|]",
    "[zoom lens|zoom call|zoom meeting|dolly the sheep|baby dolly|push notification|push-up bra|pull-over|pull tab|tilted "
    "hat|crane machine|paper crane|orbit gum|orbit sander|arc lamp|arc reactor|circle logo|circle of friends|still life|"
    "still water|still hungry|turn heads|turn thirty|turn up the flavor|turn on the lights|spinning class|spin bike|spinning "
    "wheel|root beer float|floating shelf|float your boat|light beer|light as air|light up your day|highlight of the "
    "season|sweep the floor|rotating menu|revolving door|slide into summer|drift shoes|truck driver|track suit|race track|"
    "rise and shine|pick me up|look down on nobody|close to home|far away places|out of this world|back in stock|moving "
    "day|moving boxes|sweeping views|walk in closet|go-to snack|left handed|right now|the right choice|turn left at the "
    "store|upside down cake|inside out] [for {o}|in {s}|with {o}||||]",
    "[we are|we're|i'm|they are] [launching|selling|promoting|showing|in love with] [our new {o}|{o}]",
    "[taste|discover|feel|meet|love|own|wear|try] [the|our|your] [new|] {o}",
    "[buy one get one free|now 20% off|new arrival|shop now|link in bio|best seller|back in stock|limited time only|coming "
    "soon|out now|made in italy|made with love|just do it|your new favorite|treat yourself]",
)
NEGATIONS = (
    "[no|without|without any|avoid|skip the|not a|please no] [light sweep|light sweeps|moving light|glints|reflections|orbit shots|zooms|floating effects|zoom|zooming|spin|spinning|rotation|pan|panning|tilt|orbit|shaking|shake|"
    "light flares|lens flares|floating|levitation|dutch angle|roll|dolly|fast moves|sudden moves|jump cuts|cuts|turntable]",
    "[do not|don't|dont|please don't|never] [zoom|zoom in|zoom out|sweep light over it|rotate it|rotate {o}|spin {o}|turn {o}|tilt the camera|pan|"
    "make it float|let it float|shake the camera|roll the camera|orbit|go around it|move too fast|pull back|push in]",
    "{o} [should not|must not|shouldn't|does not|doesn't] [spin|rotate|turn|float|hover|levitate|fly away|leave the frame]",
    "[not too fast|not too close|nothing flashy|nothing crazy|no crazy moves|nothing too fast]",
)
