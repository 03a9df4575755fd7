"""What an analysis says: the shape that every provider's answer must have, and that is stored and shown."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Sentences = Annotated[list[str], Field(max_length=20)]
Score = Annotated[int, Field(ge=1, le=10)]


class Strict(BaseModel):
    """Nothing more than is asked for: providers' strict schemas want it said."""

    model_config = ConfigDict(extra="forbid")


class Quality(Strict):
    """How good the paper is, 1 (poor) to 10 (excellent)."""

    rigour: Score = Field(description="How well the methods bear the conclusions.")
    novelty: Score = Field(description="How new the findings are.")
    clarity: Score = Field(description="How well the paper can be followed.")
    reproducibility: Score = Field(description="How well others could repeat the work from what is told.")


class Structure(Strict):
    """One provider's analysis of a paper."""

    summary: str = Field(min_length=1, description="The paper in one paragraph.")
    key_findings: Annotated[Sentences, Field(min_length=1)] = Field(description="A sentence each.")
    methods: str = Field(description="How the authors worked.")
    limitations: Sentences = Field(description="What limits the findings, by the authors or by your reading.")
    quality: Quality
    keywords: Annotated[list[str], Field(min_length=1, max_length=20)]
