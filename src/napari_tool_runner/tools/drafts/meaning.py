"""What the words of an argument mean: English, German, French and Spanish in one table."""

from __future__ import annotations

import re
from typing import Literal

from napari_tool_runner.tools.toolbox.stems import fold

__all__ = ["Sense", "begins", "means", "words_of"]

Sense = Literal[
    "in", "out", "file", "folder", "image", "labels", "objects", "table", "figures",
    "reads", "writes", "no file",
]  # fmt: skip
"""``objects`` and ``figures`` are labels and tables, if they are files at all; ``reads`` and
``writes`` are said in a help."""

_TABLE: dict[Sense, str] = {
    "in": """i in input inputs infile indir src source
        eingabe eingabedatei eingabebild eingabemaske eingabeordner eingang quelle quelldatei
        entree entrees entrada entradas fuente origen""",
    "out": """o out output outputs outfile outdir result results dst dest destination save target
        ausgabe ausgabedatei ausgabebild ausgabemaske ausgabetabelle ausgabeordner ausgang
        ergebnis ergebnisse ergebnisbild ziel zieldatei speichern
        sortie sorties resultat resultats enregistrer salida salidas resultado resultados
        guardar destino""",
    "file": """file files filename path data points spots tracks
        datei dateien dateiname pfad daten punkte spuren fichier fichiers chemin donnees
        archivo archivos fichero ficheros ruta datos puntos""",
    "folder": """dir directory folder indir outdir ordner verzeichnis ausgabeordner eingabeordner
        dossier repertoire carpeta directorio""",
    "image": """image images img picture stack movie volume
        bild bilder bilddatei eingabebild ausgabebild ergebnisbild stapel film aufnahme
        pile imagen imagenes pila""",
    "labels": """mask masks labels segmentation
        maske masken maskenbild eingabemaske ausgabemaske labelbild segmentierung
        masque masques etiquettes mascara mascaras etiquetas segmentacion""",
    "objects": """label segmented objects nuclei cells objekte kerne zellen
        objets noyaux cellules objetos nucleos celulas""",
    "table": """table csv tabelle tabellen ausgabetabelle messwerte messungen
        tableau tableaux mesures tabla tablas mediciones medidas""",
    "figures": """measurements measures features statistics stats spots statistik merkmale
        statistiques estadisticas""",
    "reads": "input read reads eingabe lesen liest gelesen entree lire lit entrada leer lee",
    "writes": """output write writes written save saves saved
        ausgabe schreiben schreibt geschrieben speichern speichert gespeichert
        sortie ecrire ecrit enregistrer salida escribir escribe guardar guarda""",
    "no file": """format fmt type suffix extension ext pattern glob typ endung muster
        motif formato tipo extension patron""",
}
_SENSES: dict[str, frozenset[Sense]] = {}
for _sense, _words in _TABLE.items():
    for _word in _words.split():
        _SENSES[_word] = _SENSES.get(_word, frozenset()) | {_sense}

_LEADS = re.compile(
    r"(?:where to|(?:path|file|pfad|datei|chemin|fichier|ruta|archivo)"
    r" (?:to|of|with|zum|zur|zu|mit|de|du|vers|a|al|con)) "
)
_GOES_ON = re.compile(
    r" (?:to|of|for|with|in|from|on|or|and|whose|that|which|where|zu|zum|zur|von|fur|mit|aus|auf"
    r"|oder|und|pour|avec|dans|ou|et|para|con|en|o|y) .*"
)


def words_of(*texts: str) -> list[str]:
    """Return the words of texts in lower case, without accents."""
    return re.findall("[a-z]+", fold(" ".join(texts)))


def means(words: list[str]) -> frozenset[Sense]:
    """Return all that words mean."""
    return frozenset(sense for word in words for sense in _SENSES.get(word, ()))


def begins(text: str) -> tuple[list[str], frozenset[Sense]]:
    """Return the words of a help before its first comma, and what its first noun means.

    *Labels image of the nuclei* is of labels; *image to be masked* is of an image.
    """
    first = words_of(re.split(r"[.,;:()\[\]]", text.strip(), maxsplit=1)[0])
    noun = _GOES_ON.sub("", _LEADS.sub("", " ".join(first), count=1))
    return first, means(noun.split())
