"""A flanged hub as STEP AP214, written from its measures.

Imports the standard library. Invariant: a closed solid of planes and cylinders in millimetres, each
edge used once in either direction. Format: ISO 10303-21 and -214, advanced B-rep.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

Point = tuple[float, float]
_HEADER = """ISO-10303-21;
HEADER;
FILE_DESCRIPTION(('Flanged hub, a sample of watcher'),'2;1');
FILE_NAME('flange.step','2025-01-01T00:00:00',('watcher'),(''),'watcher','watcher','');
FILE_SCHEMA(('AUTOMOTIVE_DESIGN { 1 0 10303 214 1 1 1 1 }'));
ENDSEC;
DATA;
"""
_PRODUCT = (
    "APPLICATION_CONTEXT('automotive design')",
    "PRODUCT_CONTEXT('',#{0},'mechanical')",
    "PRODUCT('flange','Flanged hub','',(#{1}))",
    "PRODUCT_DEFINITION_FORMATION('','',#{2})",
    "PRODUCT_DEFINITION_CONTEXT('part definition',#{0},'design')",
    "PRODUCT_DEFINITION('design','',#{3},#{4})",
    "PRODUCT_DEFINITION_SHAPE('','',#{5})",
    "(LENGTH_UNIT()NAMED_UNIT(*)SI_UNIT(.MILLI.,.METRE.))",
    "(NAMED_UNIT(*)PLANE_ANGLE_UNIT()SI_UNIT($,.RADIAN.))",
    "(NAMED_UNIT(*)SI_UNIT($,.STERADIAN.)SOLID_ANGLE_UNIT())",
    "UNCERTAINTY_MEASURE_WITH_UNIT(LENGTH_MEASURE(1.E-6),#{7},'distance_accuracy_value','')",
    (
        "(GEOMETRIC_REPRESENTATION_CONTEXT(3)GLOBAL_UNCERTAINTY_ASSIGNED_CONTEXT((#{10}))"
        "GLOBAL_UNIT_ASSIGNED_CONTEXT((#{7},#{8},#{9}))REPRESENTATION_CONTEXT('',''))"
    ),
)


@dataclass
class Step:
    """The lines of a STEP file; each ``add`` gives the number of the entity it wrote."""

    lines: list[str] = field(default_factory=list)

    def add(self, text: str) -> int:
        """Write one entity."""
        self.lines.append(f"#{len(self.lines) + 1}={text};")
        return len(self.lines)

    def point(self, at: Point, height: float) -> int:
        """A point in space."""
        return self.add(f"CARTESIAN_POINT('',({at[0]:.9f},{at[1]:.9f},{height:.9f}))")

    def frame(self, at: Point, height: float) -> int:
        """Axes at a point, z up and x along the world's."""
        origin = self.point(at, height)
        up = self.add("DIRECTION('',(0.,0.,1.))")
        along = self.add("DIRECTION('',(1.,0.,0.))")
        return self.add(f"AXIS2_PLACEMENT_3D('',#{origin},#{up},#{along})")

    def circle(self, at: Point, radius: float, height: float) -> tuple[int, int]:
        """A full circle as an edge, and its only vertex (at x + radius)."""
        start = self.point((at[0] + radius, at[1]), height)
        vertex = self.add(f"VERTEX_POINT('',#{start})")
        curve = self.add(f"CIRCLE('',#{self.frame(at, height)},{radius:.9f})")
        return self.add(f"EDGE_CURVE('',#{vertex},#{vertex},#{curve},.T.)"), vertex

    def loop(self, edges: list[tuple[int, bool]]) -> int:
        """A closed loop of edges, each with the direction it is run in."""
        oriented = [
            self.add(f"ORIENTED_EDGE('',*,*,#{edge},{'.T.' if forward else '.F.'})")
            for edge, forward in edges
        ]
        return self.add(f"EDGE_LOOP('',({','.join(f'#{edge}' for edge in oriented)}))")


@dataclass
class Tube:
    """A cylinder wall between two heights; ``outward`` when the material is inside it."""

    at: Point
    radius: float
    low: float
    high: float
    outward: bool


def wall(step: Step, tube: Tube) -> tuple[int, int, int]:
    """Write a cylindrical face; gives the face, its lower and its upper circle."""
    bottom, first = step.circle(tube.at, tube.radius, tube.low)
    top, second = step.circle(tube.at, tube.radius, tube.high)
    start = step.point((tube.at[0] + tube.radius, tube.at[1]), tube.low)
    up = step.add("DIRECTION('',(0.,0.,1.))")
    along = step.add(f"VECTOR('',#{up},1.)")
    line = step.add(f"LINE('',#{start},#{along})")
    seam = step.add(f"EDGE_CURVE('',#{first},#{second},#{line},.T.)")
    loop = step.loop([(bottom, True), (seam, True), (top, False), (seam, False)])
    bound = step.add(f"FACE_OUTER_BOUND('',#{loop},{'.T.' if tube.outward else '.F.'})")
    surface = step.add(
        f"CYLINDRICAL_SURFACE('',#{step.frame(tube.at, tube.low)},{tube.radius:.9f})"
    )
    sense = ".T." if tube.outward else ".F."
    return step.add(f"ADVANCED_FACE('',(#{bound}),#{surface},{sense})"), bottom, top


def plate(step: Step, outer: int, holes: list[int], height: float, *, upward: bool) -> int:
    """Write a flat face bounded by one outer circle and circular holes."""
    bounds = [
        step.add(f"FACE_OUTER_BOUND('',#{step.loop([(outer, upward)])},.T.)"),
        *(step.add(f"FACE_BOUND('',#{step.loop([(hole, not upward)])},.T.)") for hole in holes),
    ]
    surface = step.add(f"PLANE('',#{step.frame((0.0, 0.0), height)})")
    listed = ",".join(f"#{bound}" for bound in bounds)
    return step.add(f"ADVANCED_FACE('',({listed}),#{surface},{'.T.' if upward else '.F.'})")


def flange() -> str:
    """The STEP file: a disc of 100 x 12 mm with six holes, a hub of 52 x 40 mm, a bore of 30 mm."""
    step = Step()
    rim = wall(step, Tube((0.0, 0.0), 50.0, 0.0, 12.0, outward=True))
    hub = wall(step, Tube((0.0, 0.0), 26.0, 12.0, 40.0, outward=True))
    bore = wall(step, Tube((0.0, 0.0), 15.0, 0.0, 40.0, outward=False))
    turns = [math.radians(60 * turn) for turn in range(6)]
    spots = [(38.0 * math.cos(turn), 38.0 * math.sin(turn)) for turn in turns]
    holes = [wall(step, Tube(spot, 4.5, 0.0, 12.0, outward=False)) for spot in spots]
    faces = [face for face, _, _ in (rim, hub, bore, *holes)]
    faces += [
        plate(step, rim[1], [bore[1], *(hole[1] for hole in holes)], 0.0, upward=False),
        plate(step, rim[2], [hub[1], *(hole[2] for hole in holes)], 12.0, upward=True),
        plate(step, hub[2], [bore[2]], 40.0, upward=True),
    ]
    shell = step.add(f"CLOSED_SHELL('',({','.join(f'#{face}' for face in faces)}))")
    solid = step.add(f"MANIFOLD_SOLID_BREP('flange',#{shell})")
    _present(step, solid)
    return _HEADER + "\n".join(step.lines) + "\nENDSEC;\nEND-ISO-10303-21;\n"


def _present(step: Step, solid: int) -> None:
    """Write the product, its units and its colour."""
    numbers: list[int] = []
    for text in _PRODUCT:
        numbers.append(step.add(text.format(*numbers)))
    shape, context = numbers[6], numbers[-1]
    frame = step.frame((0.0, 0.0), 0.0)
    brep = step.add(f"ADVANCED_BREP_SHAPE_REPRESENTATION('',(#{frame},#{solid}),#{context})")
    step.add(f"SHAPE_DEFINITION_REPRESENTATION(#{shape},#{brep})")
    colour = step.add("COLOUR_RGB('',0.35,0.52,0.68)")
    fill = step.add(f"FILL_AREA_STYLE_COLOUR('',#{colour})")
    area = step.add(f"FILL_AREA_STYLE('',(#{fill}))")
    side = step.add(f"SURFACE_STYLE_FILL_AREA(#{area})")
    style = step.add(f"SURFACE_SIDE_STYLE('',(#{side}))")
    usage = step.add(f"SURFACE_STYLE_USAGE(.BOTH.,#{style})")
    assigned = step.add(f"PRESENTATION_STYLE_ASSIGNMENT((#{usage}))")
    styled = step.add(f"STYLED_ITEM('',(#{assigned}),#{solid})")
    step.add(f"MECHANICAL_DESIGN_GEOMETRIC_PRESENTATION_REPRESENTATION('',(#{styled}),#{context})")
