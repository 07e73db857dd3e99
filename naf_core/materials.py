"""Acoustic materials: absorption, scattering, transmission; a catalogue with sources, a guess from a name.

The figures, their sources and the rules by which gaps were filled stand in ``materials.csv`` beside this
file.
"""

from __future__ import annotations

import csv
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from naf_core.bands import BANDS_HZ, N_BANDS
from naf_core.errors import UserError

_TABLE = Path(__file__).with_name("materials.csv")
_BANDS_TEXT = ", ".join(f"{hz:g}" for hz in BANDS_HZ) + " Hz"


@dataclass(frozen=True)
class Material:
    """What a surface does to sound at random incidence.

    ``absorption`` (8,) and ``scattering`` (8,) are fractions 0..1 in the octave bands 63 Hz to 8 kHz: the
    share of the arriving energy that does not come back, and the share of the reflected energy that leaves
    the mirror direction. Any sequence of eight numbers is taken and kept as a tuple. ``source`` says where
    they come from.

    ``transmission_loss`` (8,) in dB, 0 and more, is how much less energy leaves a wall of this material behind than
    arrived in front (the sound reduction index of ISO 10140-2); None, or infinite in a band: nothing passes.

    Raises UserError if a list has not eight values, or if a value is no number or lies outside its range.
    """

    name: str
    absorption: tuple[float, ...]
    scattering: tuple[float, ...]
    source: str = ""
    transmission_loss: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "absorption", _fractions(self.name, "absorption", self.absorption))
        object.__setattr__(self, "scattering", _fractions(self.name, "scattering", self.scattering))
        if self.transmission_loss is not None:
            object.__setattr__(self, "transmission_loss", _losses(self.name, self.transmission_loss))


def _eight(head: str, name: str, values: Sequence[float], range_: str) -> tuple[float, ...]:
    """``values`` as eight floats, or a UserError that says ``head``, the bands and the remedy."""
    try:
        if any(isinstance(value, str | bytes | bool) for value in (values, *values)):
            raise TypeError  # which float() would read as numbers
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError, OverflowError):
        message = f"{head} must be eight numbers {range_}, one for each of the bands {_BANDS_TEXT}."
        raise UserError(message, name) from None
    if len(numbers) != N_BANDS:
        raise UserError(f"{head} has {len(numbers)} values: give eight, for the bands {_BANDS_TEXT}.", name)
    return numbers


def _losses(name: str, values: Sequence[float]) -> tuple[float, ...]:
    """``values`` as eight floats in dB, 0 to infinity, or a UserError as above."""
    head = f"Material “{name}”: transmission loss"
    numbers = _eight(head, name, values, "of dB from 0 up")
    for hz, number in zip(BANDS_HZ, numbers, strict=True):
        if not number >= 0.0:  # also refuses NaN
            raise UserError(f"{head} at {hz:g} Hz is {number:g} dB: enter 0 or more, infinite if nothing passes.", name)
    return numbers


def _fractions(name: str, quantity: str, values: Sequence[float]) -> tuple[float, ...]:
    """``values`` as eight floats in 0..1, or a UserError that names the material, the band and the remedy."""
    head = f"Material “{name}”: {quantity}"
    numbers = _eight(head, name, values, "from 0 to 1")
    for hz, number in zip(BANDS_HZ, numbers, strict=True):
        if math.isnan(number):
            raise UserError(f"{head} at {hz:g} Hz is not a number: enter a value from 0 to 1.", name)
        if not 0.0 <= number <= 1.0:
            remedy = "enter a value from 0 to 1."
            if quantity == "absorption" and number > 1.0:
                remedy = "measured figures above 1 come from the sample's edges in a reverberation room; enter 1."
            raise UserError(f"{head} at {hz:g} Hz is {number:g}: {remedy}", name)
    return numbers


# The ideas by which materials are named, each with its words in English, German, French, Spanish, Italian and
# Portuguese, without accents. A word may stand for several ideas; the name of an idea is a word for it too.
_IDEAS = {
    "acoustic": "acoustical akustik akustisch acoustique acustico acustica absorber absorbeur absorbente",
    "asphalt": "tarmac tar bitumen asphalte goudron asfalto alcatrao",
    "audience": (
        "people person persons human crowd spectators publikum personen menschen publico persona persone pessoa"
    ),
    "bed": "mattress bett matratze matelas cama colchon letto materasso colchao bedding",
    "blind": "jalousie rollo persiana louver louvre shutter",
    "bookshelf": ("bookcase book bucherregal bucher buch bibliotheque livre libro libri libreria livro estanteria"),
    "brick": ("brickwork masonry ziegel backstein klinker mauerwerk brique ladrillo mattone mattoni tijolo"),
    "carpet": "carpeting rug teppich teppichboden moquette tapis alfombra tappeto alcatifa carpete",
    "ceiling": "decke plafond techo soffitto teto",
    "ceramic": "keramik ceramique ceramica porcelain porzellan porcelaine porcelana porcellana",
    "chair": ("stool bench stuhl hocker bank chaise tabouret banc silla taburete banco sedia sgabello panca cadeira"),
    "chipboard": ("particleboard mdf osb fibreboard fiberboard hdf spanplatte agglomere aglomerado truciolare"),
    "coir": "kokos coconut coco cocco",
    "concrete": "beton hormigon concreto calcestruzzo betao cement zement cemento ciment cimento",
    "cork": "kork liege corcho sughero cortica",
    "cotton": "baumwolle coton algodon cotone algodao",
    "curtain": "drape drapes drapery vorhang gardine rideau cortina tenda tende tendaggio",
    "door": "tur tuer turen porte puerta porta",
    "doormat": "fussmatte paillasson felpudo zerbino capacho",
    "drywall": (
        "plasterboard sheetrock gypsum gips gipskarton rigips placo placoplatre gypse pladur cartongesso gesso"
    ),
    "fabric": (
        "cloth textile textil stoff tissu tela tejido tessuto stoffa tecido linen leinen denim silk "
        "seide soie seda seta satin clothes clothing kleidung vetement towel blanket duvet lino"
    ),
    "felt": "filz nadelfilz feutre fieltro feltro",
    "floor": "flooring boden fussboden sol plancher suelo piso pavimento soalho chao",
    "foam": "schaumstoff schaum mousse espuma schiuma gommapiuma sponge polyurethane polyurethan",
    "foliage": (
        "leaf leaves plant tree bush hedge ivy vegetation laub blatt blatter pflanze baum busch hecke "
        "feuille feuillage plante arbre haie hoja planta arbol seto foglia pianta albero siepe folha "
        "arvore fern farn"
    ),
    "furniture": (
        "cabinet cupboard wardrobe dresser drawer desk table counter countertop nightstand mobel "
        "schrank kommode tisch schreibtisch meuble armoire bureau commode mueble armario mesa "
        "escritorio armadio tavolo scrivania movel"
    ),
    "glass": "glas verre vidrio vetro vidro cristal glazing plexiglas plexiglass acrylic acryl perspex",
    "grass": ("lawn turf meadow moss gras rasen wiese moos herbe gazon pelouse hierba cesped erba prato grama relva"),
    "gravel": "pebble kies schotter gravier gravillon grava ghiaia cascalho rubble",
    "grille": "vent gitter reja griglia grelha",
    "heavy": "thick schwer dick lourd epais pesado pesada grueso gruesa pesante spesso grosso",
    "ice": "eis glace hielo ghiaccio gelo",
    "insulation": "dammung isolierung isolation aislamiento aislante isolamento isolante",
    "laminate": "laminat stratifie laminado laminato",
    "leather": "leder cuir cuero pelle cuoio couro kunstleder leatherette",
    "light": "sheer leicht leger legere ligero ligera leggero leggera leve voile tulle",
    "marble": "granite travertine onyx marmor granit marbre marmol granito marmo marmore travertin",
    "metal": (
        "steel iron aluminium aluminum copper brass chrome bronze zinc gold silver metall stahl "
        "edelstahl eisen kupfer messing chrom acier fer cuivre laiton acero hierro cobre metallo "
        "acciaio ferro rame ottone aco aluminio alluminio"
    ),
    "mineral": "minerale",
    "mirror": "spiegel miroir espejo specchio espelho",
    "old": "worn weathered ancient alt alte altes vieux ancien viejo vecchio velho",
    "open": "offen offenes offene ouvert ouverte abierto abierta aperto aperta aberto aberta",
    "opening": "hole portal offnung ouverture abertura apertura",
    "orchestra": "orchester orchestre orquesta orquestra choir chor choeur coro",
    "painted": (
        "paint lacquered gestrichen lackiert lack farbe peint peinte peinture pintado pintada pintura "
        "dipinto verniciato vernice"
    ),
    "painting": "canvas gemalde leinwand tableau cuadro quadro dipinti poster",
    "panel": "paneel platte panneau pannello painel board",
    "paper": "papier papel carta",
    "parquet": "parkett tarima parquete",
    "pew": "kirchenbank",
    "perforated": "gelocht perforiert perfore perforado perforato forato perfurado",
    "plank": "floorboard diele dielen planke planche tablon tavola assoalho",
    "plaster": "putz verputz platre enduit yeso intonaco reboco estuque",
    "plastic": "kunststoff plastik plastique plastico plastica",
    "plywood": (
        "sperrholz contreplaque contrachapado compensato multistrato contraplacado cardboard karton carton cartone"
    ),
    "polished": "poliert poli pulido lucido levigato polido glossy",
    "road": "street strasse route rue carretera calle strada estrada rua",
    "roof": "roofing dach toit tejado tetto telhado",
    "rough": "rau grob rugueux brut rugoso ruvido aspero raw",
    "rubber": "gummi kautschuk caoutchouc caucho goma gomma borracha",
    "sand": "beach strand sable arena sabbia areia",
    "screed": "estrich chape massetto contrapiso",
    "seat": "siege asiento sedile assento",
    "seating": "bestuhlung gestuhl stuhlreihen",
    "shelf": "shelves shelving regal etagere estante scaffale prateleira",
    "slat": "slatted lamelle lattis listones listelli ripado",
    "smooth": "glatt lisse liso lisa liscio",
    "snow": "schnee neige nieve neve",
    "soil": "dirt earth mud clay ground terrain erde lehm terre boue tierra barro terra fango suolo",
    "stage": "buhne escenario palcoscenico palco",
    "stair": "stairs treppe escalier escalera scala escada",
    "stone": (
        "rock limestone sandstone cobblestone stein naturstein kalkstein sandstein fels pierre roche "
        "piedra roca pietra roccia pedra rocha"
    ),
    "stucco": "stuck rauputz roughcast crepi stuc estuco",
    "tapestry": "wandteppich tapisserie tapiz arazzo tapecaria",
    "thin": "dunn mince delgado delgada fino fina sottile",
    "tile": "tiling fliese kachel carrelage carreau azulejo baldosa piastrella ladrilho mosaic mosaik",
    "upholstery": (
        "upholstered sofa couch armchair settee pouf ottoman cushion pillow polster polsterung sessel "
        "kissen canape fauteuil coussin sillon cojin tapizado poltrona divano cuscino imbottitura "
        "estofado almofada"
    ),
    "vehicle": "car auto automobile truck voiture coche carro macchina",
    "velvet": "velour velours samt plush plusch terciopelo velluto veludo",
    "vinyl": "pvc vinyle vinilo vinile vinil",
    "wall": "wand mauer mur muro pared parete parede paroi",
    "wallpaper": "tapete parati",
    "water": "ocean sea pool lake river puddle wasser meer teich eau agua acqua",
    "window": "fenster fenetre ventana finestra janela",
    "wood": (
        "wooden timber lumber oak pine walnut maple beech birch mahogany teak cedar spruce ebony "
        "hardwood softwood holz holzern eiche kiefer buche nussbaum fichte ahorn birke bois chene "
        "sapin noyer hetre madera roble nogal haya legno quercia noce pino faggio rovere abete "
        "madeira carvalho nogueira pinho wainscot lambris boiserie oaken panelling paneling "
        "wainscoting vertafelung"
    ),
    "wool": "wolle laine lana",
}
# Ideas of things, not of substances: a "leather chair" is leather.
_THINGS = frozenset(
    (
        "bed",
        "bookshelf",
        "chair",
        "door",
        "floor",
        "furniture",
        "painted",
        "panel",
        "roof",
        "seat",
        "shelf",
        "stair",
    )
    + ("upholstery", "vehicle", "wall", "window")
)


def _read_table() -> list[dict[str, str]]:
    with _TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def _material(row: dict[str, str]) -> Material:
    extended = f" ({' and '.join(row['extended'].split())} Hz extended)" if row["extended"] else ""
    source = f"Absorption: {row['absorption_source']}{extended}. Scattering: {row['scattering_source']}"
    passes = bool(row["transmission_source"])
    return Material(
        name=row["label"],
        absorption=[float(row[f"a{hz:g}"]) for hz in BANDS_HZ],
        scattering=[float(row[f"s{hz:g}"]) for hz in BANDS_HZ],
        source=source + (f". Transmission loss: {row['transmission_source']}" if passes else ""),
        transmission_loss=[float(row[f"t{hz:g}"]) for hz in BANDS_HZ] if passes else None,
    )


_ROWS = _read_table()

CATALOGUE: dict[str, Material] = {row["key"]: _material(row) for row in _ROWS}
"""Material by key, in the order of the groups."""

GROUPS: dict[str, tuple[str, ...]] = {
    group: tuple(row["key"] for row in _ROWS if row["group"] == group)
    for group in dict.fromkeys(row["group"] for row in _ROWS)
}
"""Keys by group: Walls, Floors, Ceilings and so on."""

DEFAULT = "average_interior"
"""Key of the material that stands in where nothing is known.

It is the measured residual absorption of 15 halls (0.14 at low to 0.07 at high frequencies): all their
surfaces but seats and audience, the kinds of construction mixed. A hard surface would let every room of
unnamed materials ring, an absorber would mute it.
"""

_RULES = tuple(
    (frozenset(rule.split()), row["key"]) for row in _ROWS for rule in row["guess"].split(";") if rule.strip()
)


def _vocabulary() -> dict[str, frozenset[str]]:
    """Every known word with the ideas that it stands for."""
    ideas: dict[str, set[str]] = {word: {word} for rule, _ in _RULES for word in rule}
    for idea, words in _IDEAS.items():
        for word in (idea, *words.split()):
            ideas.setdefault(word, set()).add(idea)
    return {word: frozenset(found) for word, found in ideas.items()}


_WORDS = _vocabulary()
# Plurals and inflections in the six languages, each with the shortest stem that it is taken off.
_ENDINGS = {"s": 3, "x": 3, "es": 4, "en": 4, "n": 4, "e": 4, "er": 4, "em": 4}
_LONGEST_COMPOUND = 60


def _known(word: str) -> frozenset[str] | None:
    """The ideas of one plain word, or None."""
    if word in _WORDS:
        return _WORDS[word]
    for ending, shortest in _ENDINGS.items():
        stem = word.removesuffix(ending)
        if shortest <= len(stem) < len(word) and stem in _WORDS:
            return _WORDS[stem]
    return None


def _parts(word: str) -> list[frozenset[str]]:
    """The ideas of a word that consists of known words alone ("Holzboden", "brickwall"), else nothing."""
    if (ideas := _known(word)) is not None:
        return [ideas]
    if len(word) <= _LONGEST_COMPOUND:
        for cut in range(len(word) - 3, 2, -1):
            if word[:cut] in _WORDS and (rest := _parts(word[cut:])):
                return [_WORDS[word[:cut]], *rest]
    return []


def _plain(text: str) -> str:
    """``text`` in lower case and without accents."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def _ideas(name: str) -> Iterator[frozenset[str]]:
    """The ideas in ``name`` from left to right."""
    for token in re.findall(r"[^\W\d_]+", re.sub(r"(\.\d{3,})+\s*$", "", name)):
        if parts := _parts(_plain(token)):
            yield from parts
        else:
            for piece in re.sub(r"(?<=[^A-Z])(?=[A-Z])", " ", token).split():
                yield from _parts(_plain(piece))


def guess(name: str) -> str | None:
    """Key of the catalogue entry to which a material's name points, or None if it points to none.

    Case, accents, "_", ".001", plurals, compounds and camelCase do not matter; English, German, French,
    Spanish, Italian and Portuguese are known. The rule with most ideas wins ("brick painted" over "brick"),
    then substances win over things ("leather chair" is leather), then the later word ("sand stone" is stone).
    Parts of a building do not tell their substance: "Wall", "Floor" and "Ceiling" alone give None.
    """
    places: dict[str, int] = {}
    for place, ideas in enumerate(_ideas(name)):
        places.update(dict.fromkeys(ideas, place))
    best: tuple[tuple[int, int, int], str] | None = None
    for rule, key in _RULES:
        if rule <= places.keys():
            rank = (len(rule), len(rule - _THINGS), max(places[idea] for idea in rule))
            if best is None or rank > best[0]:
                best = (rank, key)
    return None if best is None else best[1]


def search(text: str) -> list[str]:
    """Keys of the entries that hold every word of ``text``, labels that begin with it first.

    Looked at are label, group and key; parts of words count, and so do the words of the other languages:
    "Teppich" finds the carpets. An empty text finds all.
    """
    wanted = _plain(text).split()
    start = " ".join(wanted)
    found: list[str] = []
    for group, keys in GROUPS.items():
        for key in keys:
            hay = f"{_plain(CATALOGUE[key].name)} {_plain(group)} {key}"
            if all(word in hay or any(idea in hay for idea in _known(word) or ()) for word in wanted):
                found.append(key)
    return sorted(found, key=lambda key: not _plain(CATALOGUE[key].name).startswith(start))
