"""Questions about the rest of the world, put together from everyday words.

Called by the conversation generator: the authored off-topic questions show how people ask, these
show how many things there are to ask about. Pure: all chance comes from the `Random` it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

THINGS = """
apple, avocado, bacon, bagel, banana, barbecue, bean, beef, beer, beetroot, bread, broccoli,
butter, cabbage, cake, candle, carrot, cauliflower, cheese, cherry, chicken, chilli, chocolate,
cinnamon, coconut, coffee, cookie, courgette, couscous, cucumber, curry, dough, duck, dumpling,
egg, espresso, fig, flour, garlic, ginger, grape, gravy, ham, honey, jam, kebab, ketchup, lamb,
lasagne, lemon, lentil, lettuce, lobster, mango, marmalade, mayonnaise, melon, milk, muffin,
mushroom, mustard, noodle, nut, oat, olive, omelette, onion, orange, oyster, pancake, pasta,
pastry, peach, peanut, pear, pepper, pickle, pie, pineapple, pizza, plum, popcorn, pork, porridge,
potato, pumpkin, radish, raspberry, rice, risotto, salad, salmon, salt, sauce, sausage, shrimp,
soup, spinach, steak, strawberry, sugar, sushi, tea, toast, tofu, tomato, tuna, turkey, vanilla,
vinegar, waffle, whisky, wine, yoghurt, ant, bat, bear, bee, beetle, bird, budgie, butterfly,
camel, cat, cow, crab, crocodile, deer, dog, dolphin, donkey, eagle, elephant, fish, flea, fox,
frog, giraffe, goat, goldfish, goose, hamster, hedgehog, hen, horse, kangaroo, kitten, lion,
lizard, monkey, mosquito, owl, panda, parrot, penguin, pig, pigeon, pony, puppy, rabbit, rat,
shark, sheep, slug, snail, snake, spider, squirrel, swan, tiger, tortoise, wasp, whale, wolf,
worm, zebra, bamboo, basil, cactus, daffodil, fern, grass, hedge, ivy, lavender, lawn, lily, moss,
oak, orchid, palm tree, pine, rose, seed tray, sunflower, tulip, weed, willow, greenhouse,
compost, fertiliser, shovel, lawnmower, armchair, attic, balcony, basement, bath, bathroom, bed,
bench, blanket, boiler, bookshelf, bucket, carpet, ceiling, chimney, cupboard, curtain, cushion,
dishwasher, drain, fence, fireplace, floor, freezer, fridge, garage, gutter, hob, iron, kettle,
kitchen, ladder, lamp, lampshade, mattress, microwave, mirror, oven, paint, pillow, pipe, plaster,
radiator, roof, shed, shelf, shower, sink, sofa, stairs, stove, tap, tile, toaster, toilet, towel,
vacuum cleaner, vase, wallpaper, wardrobe, washing machine, balloon, basket, bell, belt, bib,
boot, bracelet, brush, button hole, cap, coat, collar, cotton, dress, earring, glove, handbag,
hat, hood, jacket, jeans, jumper, lace, leather, lipstick, necklace, nail varnish, perfume,
pocket, pyjamas, raincoat, ring, sandal, scarf, shirt, shoe, silk, skirt, sleeve, sock, suit,
sunglasses, sweater, tie, trousers, umbrella, uniform, wool, zip, aeroplane, airport, ambulance,
anchor, bicycle, boat, brake, bridge, bus, canoe, car, caravan, clutch, ferry, gearbox, harbour,
helicopter, lorry, moped, motorbike, motorway, number plate, parking space, petrol, railway,
rocket, sail, scooter, skateboard, sledge, steering wheel, subway, suspension, taxi, ticket,
tractor, tram, truck, tunnel, tyre, van, windscreen, yacht, accordion, banjo, cello, choir,
clarinet, drum, flute, guitar, harp, jazz, opera, orchestra, piano, saxophone, trombone, trumpet,
ukulele, violin, ballet, tango, badminton, ball, baseball, basketball, boxing, chess, climbing,
cricket, darts, fencing, fishing, football, golf, gymnastics, hockey, judo, karate, marathon,
poker, rugby, skiing, snooker, surfing, swimming, tennis, volleyball, wrestling, yoga, ankle,
allergy, appendix, asthma, backache, blister, blood, bone, bruise, cancer, chest, chickenpox,
cholesterol, cold, cough, diabetes, diarrhoea, dizziness, eczema, elbow, eyebrow, fever, flu,
freckle, hair, hangover, headache, heart, hiccups, hip, insomnia, jaw, kidney, knee, liver, lung,
measles, migraine, muscle, nail, neck, nose, pill, pregnancy, rash, rib, scar, shoulder, skin,
snoring, stomach, sunburn, throat, thumb, toe, tongue twister, tooth, toothache, vaccine, vitamin,
wart, wound, wrinkle, wrist, aunt, baby, barber, boyfriend, bride, brother, butcher, carpenter,
child, cousin, daughter, dentist, divorce, farmer, father-in-law, fiance, funeral, girlfriend,
grandma, grandpa, hairdresser, husband, landlord, marriage, mother, nanny, neighbour, nephew,
niece, nurse, plumber, priest, referee, roommate, sailor, sister, son, stepmother, tailor,
teenager, tenant, toddler, twin, uncle, vet, wedding, wife, army, bank loan, bankruptcy, bond,
budget, crown, customs, democracy, dictator, duke, election, embassy, empire, euro, fine,
government, inheritance, insurance, invoice, jury, king, knight, lawsuit, mayor, mortgage,
parliament, passport, pension, pope, president, prince, prison, queen, rent, revolution, salary,
senate, tax return, treaty, tribe, vote, war, algebra, asteroid, atom, bacteria, calculus, cloud
formation, comet, continent, crater, desert, dinosaur, earthquake, eclipse, electron, equator,
evolution, fossil, fraction, galaxy, geometry, glacier, gravity, hurricane, island, lake,
lightning, magnet, meteor, moon, mountain, oxygen, planet, prime number, rainbow, river, snow,
star, sunset, thunder, tornado, triangle, universe, volcano, waterfall, weather, advert, anthem,
birthday, bracelet, calendar year, carnival, castle, cathedral, cemetery, christmas, church,
cinema, circus, clown, coin, comic, crossword, diary entry, easter, essay, exam, fairy tale,
festival, film, fireworks, gift, halloween, haiku, holiday, homework, hotel, jigsaw, joke book,
kite, library book, limerick, lottery, magazine, magic trick, museum, newspaper, novel, painting,
palace, party, poem, puppet, puzzle, pyramid, recipe, resume, riddle, sermon, sonnet, souvenir,
speech, stadium, statue, tattoo, temple, theatre, toy, treasure, trophy, unicorn, vampire, wizard,
zoo, zodiac sign, facebook, instagram, whatsapp, netflix, youtube, spotify, tiktok, amazon,
paypal, gmail, excel, powerpoint, photoshop, minecraft, fortnite, playstation, ikea, uber, airbnb,
bitcoin, wikipedia, smartwatch, television, radio station, camera lens, printer ink, router cable,
doorbell, thermostat, drone
"""
"""Things of everyday life that have no part in the app or in inference."""

PLACES = """
paris, london, rome, berlin, madrid, vienna, lisbon, athens, moscow, tokyo, beijing, sydney,
cairo, nairobi, toronto, new york, chicago, texas, california, brazil, peru, mexico, india, china,
japan, france, italy, spain, greece, turkey, norway, iceland, scotland, poland, egypt, kenya,
canada, alaska, bavaria, the alps, the sahara, the moon, mars
"""

SHAPES = (
    "{t}", "{t} {u}", "{t} in {p}", "{p}", "best {t} in {p}", "what is a {t}",
    "what's the best {t}", "what is the capital of {p}", "where can i buy a {t}",
    "where do i get a cheap {t}", "how do i {d} a {t}", "how do i {d} my {t}", "how to {d} {t}",
    "how to {d} {t} with {u}", "how long does a {t} live", "how long do i {d} {t}",
    "how much does a {t} cost", "how many {t}s are there", "how heavy is a {t}", "how old is {p}",
    "how big is a {t}", "my {t} is broken", "my {t} hurts", "my {t} smells",
    "my {t} is making noises", "my {t} does not work", "my {t} won't start",
    "my {t} is too small", "the {t} is gone", "i lost my {t}", "i want a {t}", "i need a new {t}",
    "i hate {t}", "i love {t}", "can i {d} a {t}", "can you {d} my {t}", "can i eat {t} and {u}",
    "can a {t} swim", "is {t} healthy", "is {t} better than {u}", "is {p} worth a visit",
    "is there {t} in {p}", "why is {t} so expensive", "why does my {t} {d}",
    "why do people like {t}", "write a poem about a {t}", "write a story about a {t} and a {u}",
    "write me a {t}", "tell me about {t}", "tell me about {p}", "explain {t}", "facts about {t}",
    "history of {t}", "history of {p}", "recipe with {t} and {u}",
    "difference between {t} and {u}", "{t} or {u}", "{t} versus {u}", "{t} near me",
    "{t} for beginners", "{t} repair", "{t} rules", "who invented the {t}",
    "who is the king of {p}", "when was the {t} invented", "when do i {d} the {t}",
    "translate {t} into french", "spanish word for {t}", "synonym for {t}",
    "how do you say {t} in german", "how do you spell {t}", "weather in {p}", "flights to {p}",
    "hotel in {p}", "train to {p}", "time in {p}", "should i {d} my {t}", "show me a {t}",
    "recommend a {t}", "which {t} should i buy", "which {t} is best for a {u}",
    "help with my {t}", "my {r} wants a {t}", "my {r} is angry with me", "gift for my {r}",
    "my {r} broke the {t}", "how do i {a} a {t}", "how do i {a} my {t}", "{a} the {t}",
    "can i {a} a {t}", "{a} my {t} account", "where is my {t}", "how do i {a} {t}",
    "i want to {a} my {t}", "what {t} should i get", "my {t} is slow", "my {t} is full",
    "the size of a {t}", "speed of a {t}", "settings of my {t}", "what does {t} mean",
    "what does a {t} do", "how does a {t} work", "is my {t} safe",
)  # fmt: skip
"""`t` and `u` are things, `p` places, `r` relatives, `d` deeds, `a` deeds the app knows too."""

DEEDS = """
bake, boil, build, buy, carve, catch, clean, climb, cook, cut, decorate, draw, drive, dry, dye,
feed, fix, fold, freeze, fry, grill, grow, hang, iron, juggle, kick, kiss, knit, lift, marry,
melt, mix, mow, nail, paint, peel, plant, play, polish, pour, prune, recycle, repair, ride, rinse,
roast, rub, scrub, sell, sew, sharpen, shave, slice, smoke, soak, spray, stretch, sweep, swallow,
teach, tie, trim, unblock, wash, water, wax, weigh, wrap, renovate, season, massage, tame
"""

SHARED_DEEDS = """
delete, copy, stop, restart, open, close, rename, move, update, install, download, search, find,
change, save, share, edit, undo, restore, export, import, add, remove, switch, check, use, run,
load, pin, sort, hide
"""

SHARED_NOUNS = """
temperature, licence, memory, speed, token, tokens, model, models, key, window, weight, weights,
layer, layers, cache, context, settings, version, chat, message, messages, seed, prompt, thread,
folder, disk, language, code, crash, download, account, price, limit, battery, network, theme,
backup, search, privacy, server, bandwidth, size, training, inference, probability, energy, power,
update, file, file size, draft, title, title page, list, shortcut, voice, image, picture, plugin,
tools, agent, reply, answer, engine, card, chip, gauge, meter, lamp, light, transformer,
attention, batch, template, stop, end, rules, cost, free trial, repair, test, quality, type, name,
number, colour, noise, app, online shop
"""

SHARED_SHARE = 0.35

SHARED_SHAPES = (
    "{n} of a {t}", "{n} for a {t}", "{n} for my {t}", "{n} of my {t}", "{t} {n}", "{n} in {p}",
    "the {n} of {p}", "my {t} {n}", "which {n} does a {t} have", "what's the {n} of {p}",
    "what is the {n} of a {t}", "{n} for my {r}", "{t} and {n}", "what {n} for {t}",
    "{n} with {t}", "how do i change the {n} of my {t}", "where is the {n} of the {t}",
    "my {r}'s {n}", "how do i {a} the {n} of a {t}", "best {n} for {t}",
    "how do i get {n} for {p}", "which {n} should i buy for my {t}",
    "how much {n} does a {t} need", "the {t} has no {n}", "is there a {n} for {t}",
    "what does the {n} on my {t} mean", "why is the {n} of {t} so high", "{n} {t} {p}",
    "explain the {n} of {t}", "how do i {a} the {t} {n}",
)  # fmt: skip
"""With `n`, a word that the app has in another sense."""

RELATIVES = (
    "mum", "dad", "wife", "husband", "son", "daughter", "boss", "neighbour", "teacher",
    "girlfriend", "boyfriend", "grandma", "landlord", "colleague", "ex", "baby",
)  # fmt: skip


def _read_words(text: str) -> tuple[str, ...]:
    return tuple(sorted({word for part in text.split(",") if (word := " ".join(part.split()))}))


_THINGS, _PLACES = _read_words(THINGS), _read_words(PLACES)
_DEEDS, _SHARED = _read_words(DEEDS), _read_words(SHARED_DEEDS)
_NOUNS = _read_words(SHARED_NOUNS)


def name_thing(rng: Random) -> str:
    """A thing of everyday life."""
    return rng.choice(_THINGS)


def ask_elsewhere(rng: Random) -> str:
    """A question that neither the app nor inference can answer."""
    shapes = SHARED_SHAPES if rng.random() < SHARED_SHARE else SHAPES
    return rng.choice(shapes).format(
        n=rng.choice(_NOUNS),
        t=rng.choice(_THINGS),
        u=rng.choice(_THINGS),
        p=rng.choice(_PLACES),
        d=rng.choice(_DEEDS),
        a=rng.choice(_SHARED),
        r=rng.choice(RELATIVES),
    )
