"""Words that the rules extractor goes by. Closed lists: what is not in them is left alone."""

from __future__ import annotations

__all__ = [
    "ADJECTIVES",
    "BLOCKERS",
    "EVENTS",
    "FEELINGS",
    "KIN",
    "NOT_JOBS",
    "OCCUPATIONS",
    "OCCUPATION_ENDINGS",
    "POSSESSIONS",
    "UNPLANNED",
]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What people are called who stand in a relation to the speaker, and the word that is kept.
KIN = {
    word: word
    for word in _words(
        "wife husband spouse partner girlfriend boyfriend fiance fiancee mother father sister "
        "brother son daughter uncle aunt cousin nephew niece grandmother grandfather grandson "
        "granddaughter stepmother stepfather twin friend boss manager colleague coworker neighbour "
        "roommate flatmate teacher tutor coach doctor dentist therapist landlord mentor mother-in-law "
        "father-in-law sister-in-law brother-in-law"
    )
} | {
    "mum": "mother",
    "mom": "mother",
    "mummy": "mother",
    "dad": "father",
    "daddy": "father",
    "grandma": "grandmother",
    "granny": "grandmother",
    "nan": "grandmother",
    "grandpa": "grandfather",
    "granddad": "grandfather",
    "fiancé": "fiance",
    "fiancée": "fiancee",
    "neighbor": "neighbour",
}

# A clause with one of these is a wish, a condition, hearsay or doubt: it says nothing for certain.
BLOCKERS = _words(
    "if unless would could should might may maybe perhaps possibly probably wish wishes wished "
    "imagine suppose supposedly allegedly pretend pretended joking kidding dreamt dreamed whether "
    "says said told tells thinks thought think guess guessed claims claimed heard believes reckons "
    "hopefully nearly almost"
)

ADJECTIVES = _words(
    "vegetarian vegan pescatarian single married divorced engaged widowed separated pregnant retired "
    "unemployed self-employed diabetic asthmatic left-handed right-handed colour-blind color-blind "
    "lactose-intolerant coeliac celiac deaf blind bilingual dyslexic short-sighted near-sighted "
    "teetotal"
)

# What can be had: people, animals, things that last. "I have an idea" is none of them.
POSSESSIONS = _words(
    "cat cats dog dogs puppy puppies kitten kittens rabbit rabbits hamster hamsters parrot parrots "
    "horse horses goldfish ferret gecko iguana canary budgie lizard hedgehog fish "
    "tortoise turtle snake bird birds chicken chickens hen hens goat goats "
    "pony guinea-pig pet pets child children kid kids son sons daughter daughters brother brothers "
    "sister sisters sibling siblings twins baby babies grandchild grandchildren grandson "
    "granddaughter cousin cousins nephew nephews niece nieces wife husband girlfriend boyfriend "
    "stepson stepdaughter garden allotment balcony house flat apartment cottage cabin greenhouse pool "
    "car cars van motorbike motorcycle bike bikes bicycle boat sailboat scooter campervan caravan "
    "truck tesla piano guitar guitars violin cello drums telescope camera record-player kayak tattoo "
    "tattoos asthma diabetes allergy allergies degree phd masters licence license passport"
)

OCCUPATIONS = _words(
    "nurse chef cook pilot surgeon lawyer judge student midwife paramedic vet plumber carpenter "
    "mechanic clerk architect actor actress author poet musician guitarist drummer composer athlete "
    "coach butcher tailor priest monk nun pastor rabbi imam soldier sailor captain postman fireman "
    "policeman policewoman fisherman salesman saleswoman businesswoman businessman freelancer "
    "consultant accountant assistant civil-servant diplomat receptionist secretary bartender barista "
    "waiter waitress tutor professor lecturer headmaster headteacher intern apprentice "
    "physiotherapist therapist psychologist ceo cto founder entrepreneur analyst auditor beekeeper "
    "goldsmith blacksmith locksmith stonemason mason illustrator translator interpreter sculptor"
)
OCCUPATION_ENDINGS = tuple(
    _words(
        "administrator adviser advisor agent artist attendant babysitter baker banker barber biologist "
        "bookkeeper broker builder caregiver carer caretaker cellist chemist cleaner conductor consultant "
        "dancer dentist designer developer dietitian director doctor driver economist editor eer "
        "electrician farmer firefighter florist gardener hairdresser historian ician inspector instructor "
        "journalist lawyer librarian manager officer ographer ologist operator optometrist painter "
        "pharmacist photographer physicist pianist planner producer programmer reporter researcher roofer "
        "scientist shopkeeper singer singer-songwriter specialist surveyor teacher technician teller "
        "tester trader trainer translator veterinarian violinist welder worker writer"
    )
)
NOT_JOBS = _words("volunteer pioneer career peer beer deer cheer lover")

# What is felt or done for a living or a pastime is liked; a person or a moment is loved in another sense.
FEELINGS = _words("you him her them it this that how when what to the-idea")

# Past tenses that make an event, and the relation that they give.
EVENTS = {
    word: word for word in _words("bought sold adopted visited started finished quit won lost met broke")
} | {
    "went to": "visited",
    "began": "started",
    "completed": "finished",
    "picked up": "bought",
    "gave up": "quit",
    "stopped": "quit",
}

# "I am going to …" and the like with one of these is no plan.
UNPLANNED = _words(
    "be have think know say tell let guess try admit assume need stop sleep bed lie cry die kill ask "
    "miss regret explain show answer"
)
