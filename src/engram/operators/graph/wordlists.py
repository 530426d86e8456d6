"""Words that names are compared by: titles, company forms, numbers, types, other languages."""

from __future__ import annotations

__all__ = [
    "ADULT",
    "COMPANY",
    "EXONYMS",
    "FEMALE",
    "FIXED",
    "GENERIC",
    "KNOWN",
    "MALE",
    "NUMBERS",
    "PARTNER",
    "ROLES",
    "SIGNS",
    "TITLES",
    "TRANSLATED",
    "TYPES",
    "phrases",
]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def phrases(text: str) -> list[str]:
    """The phrases of a text that has them between semicolons."""
    return text.split(";")


def _table(text: str) -> dict[str, str]:
    """Each further word of a line, to its first."""
    lines = (line.split() for line in text.strip().splitlines())
    return {word: head for head, *words in lines for word in (head, *words)}


TITLES = _words(
    "dr doctor prof professor mr mrs ms miss mx sir lady lord dame rev reverend father "
    "sister fr captain capt major colonel col general gen lieutenant lt sergeant sgt judge "
    "justice president pres senator sen governor mayor minister chancellor coach uncle aunt "
    "auntie grandma grandpa granny grandmother grandfather king queen prince princess pope "
    "saint herr frau monsieur madame signor signora senor senora don dona sheikh imam rabbi "
    "inspector detective officer nurse chef old little big my our the"
)
MALE = _words(
    "mr sir lord uncle grandpa grandfather king prince herr monsieur signor senor brother "
    "father son husband nephew grandson stepfather boyfriend male man boy widower"
)
FEMALE = _words(
    "mrs ms miss lady dame aunt auntie grandma granny grandmother queen princess frau madame "
    "signora senora sister mother daughter wife niece granddaughter stepmother girlfriend "
    "female woman girl widow"
)
COMPANY = _words(
    "inc incorporated ltd limited llc llp plc gmbh ag sa corp corporation co company kg oy "
    "ab bv nv spa srl sarl pty as aps kk oyj se group holding holdings"
)
# Words that a name of a thing may have or not, without another thing being meant.
GENERIC = _words("the a city of town mount mt le la el les los der die das den app")

NUMBERS = {
    word: str(number)
    for number, words in enumerate(
        phrases(
            "one first i;two second ii;three third iii;four fourth iv;five fifth v;six sixth vi;"
            "seven seventh vii;eight eighth viii;nine ninth ix;ten tenth x;eleven eleventh xi"
            ";twelve twelfth xii"
        ),
        start=1,
    )
    for word in words.split()
}

SIGNS = {"++": "plusplus", "+": "plus", "#": "sharp"}

# Short forms that are widely known.
KNOWN = {
    "nyc": "new york city",
    "la": "los angeles",
    "sf": "san francisco",
    "dc": "washington dc",
    "uk": "united kingdom",
    "us": "united states",
    "usa": "united states",
    "america": "united states",
    "uae": "united arab emirates",
    "eu": "european union",
    "ussr": "soviet union",
    "js": "javascript",
    "ts": "typescript",
    "postgres": "postgresql",
    "mongo": "mongodb",
    "golang": "go",
    "vscode": "visual studio code",
    "ms": "microsoft",
    "vs": "visual studio",
    "aws": "amazon web services",
    "gcp": "google cloud platform",
    "fb": "facebook",
    "ig": "instagram",
    "yt": "youtube",
    "vw": "volkswagen",
    "bmw": "bayerische motoren werke",
    "st": "saint",
    "ste": "sainte",
    "mt": "mount",
    "ft": "fort",
    "univ": "university",
    "uni": "university",
    "intl": "international",
    "natl": "national",
    "dept": "department",
    "govt": "government",
    "inst": "institute",
    "assn": "association",
    "assoc": "association",
    "hosp": "hospital",
    "acad": "academy",
    "mfg": "manufacturing",
    "bros": "brothers",
    "ctr": "center",
    "tech": "technical",
    "ver": "version",
}

# One word, to the English one that stands for it in names of institutions.
TRANSLATED = _table("""
university universitat universite universidad universidade universita universiteit universitet uniwersytet
technical technische technisch technique tecnica tecnico techniczna teknisk
school schule ecole escuela escola scuola
museum musee museo museu muzeum
library bibliothek bibliotheque biblioteca
hospital krankenhaus hopital ospedale
church kirche eglise iglesia igreja chiesa
red rouge rojo roja rotes rote rosso vermelha
white blanc blanche weiss bianco branco blanca
black noir noire schwarz negro nero preto
new neu neue nouveau nouvelle nuevo nueva novo nova nuovo
national nationale nacional nazionale nationaal
international internationale internacional internazionale
cross kreuz croix cruz croce
ministry ministerium ministere ministerio ministero
institute institut instituto istituto
academy akademie academie academia accademia
bank banque banco banca
theater theatre teatro teatr
center centre zentrum centro
festival festspiele fete
association verein asociacion associacao associazione verband
station bahnhof gare estacion stazione estacao
bridge brucke pont puente ponte
castle schloss chateau castillo castello castelo
street strasse rue calle via rua
world monde mundo welt mondo
film cinema kino cine
company compagnie compania
and und et e y och og i
of de du des von der del di da do la le the
""")

# Places as English has them, and as others do.
EXONYMS = _table("""
athens athina athen athenes atenas
bangkok krungthep
basel basle bale basilea
beijing peking pekin
belgrade beograd belgrad
bombay mumbai
brussels bruxelles brussel brussel bruselas bruxelas
bucharest bucuresti bukarest bucarest
budapest budapeszt
burma myanmar birma
cairo kairo alqahirah
calcutta kolkata
cologne koln colonia keulen
constantinople istanbul
copenhagen kobenhavn kopenhagen copenhague
cracow krakow krakau
damascus dimashq
dublin baileathacliath
dusseldorf
edinburgh edimbourg edimburgo
florence firenze florenz florencia
gdansk danzig
geneva geneve genf ginebra ginevra
genoa genova genua genes
ghent gent gand
gothenburg goteborg
hague denhaag haag lahaye lahaya
hanover hannover
helsinki helsingfors
jerusalem yerushalayim
kiev kyiv kyjiv
leghorn livorno
lisbon lisboa lissabon lisbonne
lucerne luzern
lviv lwow lemberg lvov
lyon lyons
madras chennai
mecca makkah
milan milano mailand
moscow moskva moskau moscou moscu mosca
munich munchen
naples napoli neapel
nice nizza
nuremberg nurnberg
padua padova
paris parigi parijs
porto oporto
prague praha prag praga
rangoon yangon
rome roma rom
saigon hochiminhcity
saintpetersburg stpetersburg sanktpeterburg leningrad
seville sevilla
siena sienne
sofia sofiya
stockholm estocolmo
strasbourg strassburg
tehran teheran
tokyo tokio dongjing 東京 东京
turin torino
venice venezia venedig venecia venise
vienna wien viena vienne
vilnius wilno wilna
warsaw warszawa warschau varsovie varsovia
wroclaw breslau
zagreb agram
zurich zurigo
austria osterreich autriche
belgium belgique belgie belgien
china zhongguo 中国 中國
croatia hrvatska kroatien
czechia ceskarepublika cesko tschechien czechrepublic
denmark danmark danemark
egypt misr agypten egypte
finland suomi finnland finlande
france frankreich francia
germany deutschland allemagne alemania germania
greece hellas ellada griechenland grece
hungary magyarorszag ungarn hongrie
ireland eire irland irlande
italy italia italien italie
japan nippon nihon japon 日本
netherlands nederland holland niederlande paysbas
norway norge norwegen norvege
poland polska polen pologne
portugal
romania rumanien roumanie
russia rossiya russland russie
spain espana spanien espagne
sweden sverige schweden suede
switzerland schweiz suisse svizzera
turkey turkiye turkei
ukraine ukraina
bavaria bayern
tuscany toscana
sicily sicilia
sardinia sardegna
catalonia catalunya cataluna
""")

# Relations of which a thing has one value for as long as it lasts.
FIXED = frozenset(
    phrases(
        "born;birth year;year of birth;birthday;birth date;date of birth;born on;born in;"
        "birthplace;gender;sex;mother;father;died;died in;capital;employee number;"
        "passport number;founded;founded in;established;released;release year;species;first name;"
        "surname;last name;isbn;serial number"
    )
)
PARTNER = _words("husband wife spouse partner")
# Where somebody stands to the one who is named: 1 an elder, -1 a younger one, 0 of one age.
ROLES = {
    **dict.fromkeys(phrases("mother of;father of;parent of;son;daughter;child;grandson;granddaughter"), 1),
    **dict.fromkeys(phrases("grandmother of;grandfather of;aunt of;uncle of;nephew;niece"), 1),
    **dict.fromkeys(phrases("daughter of;son of;child of;mother;father;parent;grandmother;grandfather"), -1),
    **dict.fromkeys(phrases("grandson of;granddaughter of;nephew of;niece of;aunt;uncle"), -1),
    **dict.fromkeys(phrases("sister;brother;sister of;brother of;twin;twin of;wife;husband;spouse"), 0),
    **dict.fromkeys(phrases("wife of;husband of;spouse of;partner of;partner"), 0),
}
# Relations that a small child has not.
ADULT = frozenset(
    phrases(
        "works as;works at;wife;husband;spouse;married;boss of;teaches;son;daughter;mother of;"
        "father of;wrote;drives;runs;owns a company;grandson;granddaughter;grandchild;employs;"
        "retired"
    )
)

TYPES = _table("""
person people human man woman user speaker character
place city country town village location region state river lake island street building venue restaurant
organisation organization org company business institution university school agency firm ngo brand
team club
group band family
product software device game tool app technology
event festival conference meeting trip
work book film song show movie album musical play
animal pet dog cat
project
food drink dish
substance material metal chemical
plant
bodypart
date
""")
