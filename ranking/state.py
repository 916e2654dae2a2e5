"""Everything in memory that ranks for one catalog, at one moment; never changed, only replaced."""

from dataclasses import dataclass, replace

from ranking.covisitation import CoVisitation
from ranking.item_index import ItemIndex
from ranking.popularity import Popularity
from ranking.rankers.gbdt import GbdtRanker
from ranking.repurchase import Repurchase
from ranking.types import FloatArray, InteractionLog
from ranking.user_tower import UserTower


@dataclass(frozen=True)
class RankingState:
    """Items, what is known of them, and the models; all arrays follow the item index's rows."""

    items: ItemIndex
    popularity: Popularity
    repurchase: Repurchase
    repeat_consumption: bool
    item_half_life_days: float | None
    diversity: float  # λ of MMR
    covisitation: CoVisitation | None = None
    tower: UserTower | None = None
    tower_items: FloatArray | None = None  # (N, d) items as the tower sees them
    ranker: GbdtRanker | None = None
    bundle_id: str = ""  # '' = no bundle: encoder and popularity only

    def as_of(self, log: InteractionLog, moment: float) -> "RankingState":
        """The same models with the statistics that were known at this moment."""
        return replace(
            self,
            popularity=Popularity.fit(log, len(self.items), moment),
            repurchase=Repurchase.fit(log, len(self.items), moment),
            covisitation=CoVisitation.fit(log, len(self.items), moment),
        )
