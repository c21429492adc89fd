"""The container images an exported egg offers, in any of the three shapes panels have written."""

from collections.abc import Mapping

from django.utils.translation import gettext as _

from .fields import Fields


def docker_images_of(fields: Fields, warnings: list[str]) -> Mapping[str, str]:
    """Label to image in the file's order; an old file's images are their own labels. Adds to `warnings`.

    Entries without an image are left out. Raises EggInvalid on anything that is not text.
    """
    offered = _offered(fields)
    images = {label.strip() or image.strip(): image.strip() for label, image in offered if image.strip()}
    if len(images) < len(offered):
        warnings.append(_("Empty or repeated container images were left out."))
    if not images:
        warnings.append(_("There is no container image; a blueprint has to name one."))
    return images


def _offered(fields: Fields) -> list[tuple[str, str]]:
    """The pairs as written: `docker_images`, or the older `images` (a list) or `image` (a text)."""
    for key in ("docker_images", "images"):
        if isinstance(fields.values.get(key), list):
            return [(image, image) for image in fields.texts(key)]
        if fields.has(key):
            labelled = fields.child(key)
            return [(labelled.storable(label, label), labelled.text(label)) for label in labelled.values]
    return [(fields.text("image"), fields.text("image"))] if fields.has("image") else []
