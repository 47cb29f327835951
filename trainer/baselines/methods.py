"""All methods by name, for `forewarn-train compare`. They need the packages of the extra `compare`."""

from trainer.baselines import IN_USE
from trainer.baselines.boosting import BOOSTING
from trainer.baselines.cusum import CUSUM
from trainer.baselines.half_space_trees import HALF_SPACE_TREES
from trainer.baselines.holt_winters import HOLT_WINTERS
from trainer.baselines.isolation_forest import ISOLATION_FOREST
from trainer.baselines.kmeans import KMEANS
from trainer.baselines.lstm_autoencoder import LSTM_AUTOENCODER
from trainer.baselines.scorer import Baseline
from trainer.baselines.t2_q import T2_Q

BASELINES: dict[str, Baseline] = {
    **IN_USE,
    "cusum": CUSUM,
    "t2_q": T2_Q,
    "holt_winters": HOLT_WINTERS,
    "isolation_forest": ISOLATION_FOREST,
    "kmeans": KMEANS,
    "half_space_trees": HALF_SPACE_TREES,
    "boosting": BOOSTING,
    "lstm_autoencoder": LSTM_AUTOENCODER,
}
