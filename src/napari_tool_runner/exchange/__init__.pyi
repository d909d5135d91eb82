from .apart import ReadApart, load_reader
from .axes import in_words, outer_axes, read_axes
from .carriers import ReadFile, import_tifffile, needs_tifffile, read_file
from .comparing import same_data
from .counting import (
    SIZES,
    Counted,
    at_edge,
    counted,
    doubtful_in,
    edge_words,
    giant_words,
    giants_among,
    is_unnumbered,
    least_size,
    pixel_column,
    soft_words,
    speck_words,
    uneven_in,
    warns,
)
from .dimensions import any_of, can_drop, refused_axes, slices_of, taken_dimensions
from .exporting import Exported, export
from .featured import column_names, features_for, features_of, features_without, whereabouts
from .files import lent_original
from .geometry import PLACE, crop
from .glance import Thumbnail, figures_of, thumbnail_of
from .handover import HandOver, fitting_kinds, open_snapshot, plan, takes_features
from .joining import id_column, joined_by, objects_in
from .knowing import (
    asks_file,
    grid_of,
    guess_notes,
    is_guess,
    learned,
    sized_as,
    why_guess,
    with_known_axes,
    with_known_sizes,
)
from .loading import load
from .merging import in_its_slice, label_offsets, merge_parts
from .model import Geometry, LayerData, LayerSnapshot, LoadedOutput
from .noise import is_noisy
from .parts import Index, cut
from .refusing import refused, refused_beside
from .resampling import resample_onto
from .sharing import content_of, sha256_once, was_written_to
from .sizing import Objects
from .snapshots import (
    geometry_record,
    is_whole,
    layer_kind,
    snapshot,
    snapshot_from_record,
    without_rows,
)
from .titles import column_title, counted_only
from .units import is_length, share_here, steps_told, unit_here, unit_word
from .wanted import lying_apart, misfit, misfits, wants_objects

__all__ = [
    "PLACE",
    "SIZES",
    "Counted",
    "Exported",
    "Geometry",
    "HandOver",
    "Index",
    "LayerData",
    "LayerSnapshot",
    "LoadedOutput",
    "Objects",
    "ReadApart",
    "ReadFile",
    "Thumbnail",
    "any_of",
    "asks_file",
    "at_edge",
    "can_drop",
    "column_names",
    "column_title",
    "content_of",
    "counted",
    "counted_only",
    "crop",
    "cut",
    "doubtful_in",
    "edge_words",
    "export",
    "features_for",
    "features_of",
    "features_without",
    "figures_of",
    "fitting_kinds",
    "geometry_record",
    "giant_words",
    "giants_among",
    "grid_of",
    "guess_notes",
    "id_column",
    "import_tifffile",
    "in_its_slice",
    "in_words",
    "is_guess",
    "is_length",
    "is_noisy",
    "is_unnumbered",
    "is_whole",
    "joined_by",
    "label_offsets",
    "layer_kind",
    "learned",
    "least_size",
    "lent_original",
    "load",
    "load_reader",
    "lying_apart",
    "merge_parts",
    "misfit",
    "misfits",
    "needs_tifffile",
    "objects_in",
    "open_snapshot",
    "outer_axes",
    "pixel_column",
    "plan",
    "read_axes",
    "read_file",
    "refused",
    "refused_axes",
    "refused_beside",
    "resample_onto",
    "same_data",
    "sha256_once",
    "share_here",
    "sized_as",
    "slices_of",
    "snapshot",
    "snapshot_from_record",
    "soft_words",
    "speck_words",
    "steps_told",
    "taken_dimensions",
    "takes_features",
    "thumbnail_of",
    "uneven_in",
    "unit_here",
    "unit_word",
    "wants_objects",
    "warns",
    "was_written_to",
    "whereabouts",
    "why_guess",
    "with_known_axes",
    "with_known_sizes",
    "without_rows",
]
