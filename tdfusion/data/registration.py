"""How well a pair is registered: the shift at which the edges of both images run alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as nnf
from torch import Tensor

CELLS = 320  # the longer side, about, at which edges are compared
REACH = 32  # largest shift looked at, in cells
APART = 6  # cells from the peak at which another one counts as a rival
CONFIDENT = 2.5  # this and TOLERANCE were chosen on part of the pairs of results/registration.csv
TOLERANCE = 6.0  # px: pairs of published data sets are off by up to about this
_SOBEL = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8


class Offset(NamedTuple):
    """How far the content of I_b lies right of (dx) and below (dy) its place in I_a, in px, and how sure that is.

    ``confidence`` is the height of the best agreement above the best at any other place, in standard deviations
    of the agreement over all shifts; 0 where nothing can be said.
    """

    dx: float
    dy: float
    confidence: float


def edge_agreement(I_a: Tensor, I_b: Tensor, reach: int) -> Tensor:
    r"""Mean agreement of edge directions, of every shift of I_b: normalised gradient fields.

    With $\theta$ the direction of an image's gradient (Sobel), $g$ its length and $\bar g$ the mean of it, each
    pixel $p$ has an edge of strength $e = g^2 / (g^2 + \bar g^2 / 4)$, and of a shift $d$

    $$ S(d) = \frac{\sum_p e_a(p)\, e_b(p + d) \cos 2(\theta_a(p) - \theta_b(p + d))}{\sum_p e_a(p)\, e_b(p + d)} . $$

    Twice the angle, since what is bright in one image may be dark in the other: the cosine is 1 for edges that
    run alike and -1 for edges that cross. Both sums run over the pixels that both images have, and are
    correlations, of the complex fields $e\, \mathrm{e}^{2 \mathrm{i} \theta}$ and of $e$, so that Fourier
    transforms give all shifts at once.

    Args:
        I_a, I_b: (1, H, W), any range of values.
        reach: the largest shift, in pixels.

    Returns:
        S, (2 reach + 1, 2 reach + 1) in [-1, 1]: row ``reach + dy``, column ``reach + dx``.

    Source: Haber and Modersitzki, "Intensity Gradient Based Registration and Fusion of Multi-modal Images",
    MICCAI 2006, for the measure; the sums over all shifts at once are ours.
    """
    a, b = _edges(I_a), _edges(I_b)  # complex (H, W)
    padded = [side + reach for side in a.shape]  # so that no shift wraps around
    alike, both = _correlation(a, b, padded, reach), _correlation(a.abs(), b.abs(), padded, reach)
    return alike / both.clamp_min(1e-6 * a.numel())


def misregistration(I_a: Tensor, I_b: Tensor) -> Offset:
    """The shift of I_b against I_a, by the peak of `edge_agreement`.

    Both images are averaged down to about 320 pixels along the longer side; shifts of up to a tenth of it are
    looked at, and the peak is placed between pixels by a parabola along either axis. A turn or another scale shows
    as the shift that fits most edges; a larger shift, or a scene whose edges the images do not share, as a low
    confidence.

    Args:
        I_a, I_b: infrared image and luma of the visible image, (1, H, W) of one size, any range.

    Returns:
        The offset; (0, 0, 0) for images without edges, or of fewer than 64 pixels along a side after averaging.

    Example:
        >>> from tdfusion.data.synthroad.scenes import SynthRoad
        >>> pair = SynthRoad(length=1, size=(240, 320))[0]
        >>> I_a, I_b = pair.ir[:, 5:, :-8], pair.vi[:, :-5, 8:]  # the visible camera looks 8 px right and 5 px up
        >>> offset = misregistration(I_a, I_b)
        >>> round(offset.dx), round(offset.dy), offset.confidence > CONFIDENT
        (-8, 5, True)
    """
    cell = _cell(I_a)
    if cell > 1:
        I_a, I_b = (nnf.avg_pool2d(image[None], cell)[0] for image in (I_a, I_b))
    shorter = min(I_a.shape[-2:])
    if shorter < 64:
        return Offset(0.0, 0.0, 0.0)
    reach = min(REACH, shorter // 4)
    S = edge_agreement(I_a, I_b, reach)  # (2 reach + 1, 2 reach + 1)
    row, column = divmod(int(S.argmax()), 2 * reach + 1)
    y, x = torch.meshgrid(torch.arange(2 * reach + 1), torch.arange(2 * reach + 1), indexing="ij")
    elsewhere = S[(y - row) ** 2 + (x - column) ** 2 > APART**2]
    spread = float(elsewhere.std())
    if spread == 0:
        return Offset(0.0, 0.0, 0.0)
    dx = column - reach + _between(S[row], column)
    dy = row - reach + _between(S[:, column], row)
    return Offset(cell * dx, cell * dy, float(S[row, column] - elsewhere.max()) / spread)


def looks_misregistered(offset: Offset, I_a: Tensor) -> bool:
    """Whether to warn: a confident offset beyond 6 px, or 0.5 % of the longer side of images above 1200 px.

    How often that is wrong on registered pairs, and how often it finds a known shift, is measured by
    ``studies/registration.py``.
    """
    tolerance = max(TOLERANCE, 0.005 * max(I_a.shape[-2:]))
    return offset.confidence > CONFIDENT and (offset.dx**2 + offset.dy**2) ** 0.5 > tolerance


@dataclass
class Misregistered:
    """The pairs of a run that look misregistered, for the warning of ``words``."""

    checked: int = 0
    found: list[tuple[str, Offset]] = field(default_factory=list)

    def check(self, name: str, I_a: Tensor, I_b: Tensor) -> None:
        """Look at a pair; ``name`` is what it is called in the warning."""
        offset = misregistration(I_a, I_b)
        self.checked += 1
        if looks_misregistered(offset, I_a):
            self.found.append((name, offset))

    def words(self) -> Iterator[str]:
        """One sentence, or none."""
        if not self.found:
            return
        name, offset = self.found[0]
        where = f"the visible image lies about {offset_words(offset)} of the infrared one"
        advice = 'register first, see "Register two cameras" in the book (--no-check silences this)'
        if self.checked == 1:
            yield f"{name} looks misregistered: {where}; {advice}"
        else:
            verb = "looks" if len(self.found) == 1 else "look"
            yield f"{len(self.found)} of {self.checked} pairs {verb} misregistered (first {name}: {where}); {advice}"


def offset_words(offset: Offset) -> str:
    """``6 px right and 2 px below``."""
    sides = (
        (offset.dx, "right" if offset.dx > 0 else "left"),
        (offset.dy, "below" if offset.dy > 0 else "above"),
    )
    return " and ".join(f"{abs(d):.0f} px {side}" for d, side in sides if round(abs(d))) or "0 px"


def _cell(image: Tensor) -> int:
    """How many pixels along a side become one."""
    return max(1, round(max(image.shape[-2:]) / CELLS))


def _edges(image: Tensor) -> Tensor:
    """e exp(2 i theta) of `edge_agreement`: (1, H, W) -> complex (H, W)."""
    padded = nnf.pad(image[None].float(), (1, 1, 1, 1), mode="replicate")  # (1, 1, H + 2, W + 2)
    gx, gy = nnf.conv2d(padded, torch.stack([_SOBEL, _SOBEL.T])[:, None].to(image.device))[0]  # (H, W) each
    g2 = gx**2 + gy**2
    floor = (0.5 * g2.sqrt().mean()) ** 2
    return torch.complex(gx, gy) ** 2 / (g2 + floor).clamp_min(torch.finfo(g2.dtype).tiny)


def _correlation(a: Tensor, b: Tensor, padded: list[int], reach: int) -> Tensor:
    """Re sum_p conj(a(p)) b(p + d) for every d up to ``reach``: (2 reach + 1, 2 reach + 1)."""
    if a.is_complex():
        product = torch.fft.ifft2(torch.fft.fft2(a, padded).conj() * torch.fft.fft2(b, padded)).real
    else:  # half the work
        product = torch.fft.irfft2(torch.fft.rfft2(a, padded).conj() * torch.fft.rfft2(b, padded), padded)
    return product.roll((reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]


def _between(values: Tensor, peak: int) -> float:
    """Where the parabola through a peak and its two neighbours is highest, from -0.5 to 0.5; 0 at an end."""
    if not 0 < peak < len(values) - 1:
        return 0.0
    before, top, after = values[peak - 1 : peak + 2].tolist()
    curvature = before - 2 * top + after
    return 0.5 * (before - after) / curvature if curvature < 0 else 0.0
