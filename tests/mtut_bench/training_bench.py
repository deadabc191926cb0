"""A bench that trains tiny networks on a tiny store, for the tests of everything that trains."""

import json

import torch

from mtut_bench.loading.training_clips import TrainingClips
from mtut_bench.store.reader import StoreReader
from mtut_bench.training.loop import Stage, train
from mtut_bench.training.step import classification_losses
from mtut_bench.training.train_state import build_train_state


class Interrupted(Exception):
    pass


def stop_after(epochs):
    def note(done, total, text):
        if done == epochs:
            raise Interrupted

    return note


class Bench:
    """Trains on a store of eight clips; every call starts from a fresh initialisation."""

    def __init__(self, store, folder, methods, recipe):
        self.store, self.folder, self.methods, self.recipe = store, folder, methods, recipe
        reader = StoreReader(store)
        self.ids = [row.clip_id for row in reader.table.rows]
        self.num_classes = len(reader.attributes.classes)
        self.device = torch.device("cpu")

    def train_states(self, modalities, method="i3d", seed=0, recipe=None, **options):
        return {
            m: build_train_state(
                self.methods[method],
                m,
                self.num_classes,
                recipe or self.recipe,
                seed,
                self.device,
                **options,
            )
            for m in modalities
        }

    def clips(self, modalities, seed=0, recipe=None):
        return TrainingClips(self.store, self.ids, modalities, recipe or self.recipe, seed)

    def alone(self, modalities, name="alone", seed=0, recipe=None, **options):
        recipe = recipe or self.recipe
        recompute = options.pop("recompute", False)
        train_states = self.train_states(modalities, seed=seed, recipe=recipe, recompute=recompute)
        stage = Stage(
            "alone", 0, recipe.epochs_alone, True, classification_losses, self.folder / name
        )
        clips = self.clips(modalities, seed, recipe)
        log = train(train_states, clips, stage, self.device, **options)
        return train_states, log

    def joint(self, train_states, method="mtut", name="joint", recipe=None, **options):
        recipe = recipe or self.recipe
        first = recipe.epochs_alone
        objective = self.methods[method].build_objective(recipe.objective_settings())
        stage = Stage(
            "joint", first, first + recipe.epochs_joint, False, objective, self.folder / name
        )
        clips = self.clips(tuple(train_states), recipe=recipe)
        return train(train_states, clips, stage, self.device, **options)


def weights(train_state):
    return {name: tensor.clone() for name, tensor in train_state.network.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def state_bytes(train_state):
    return json.dumps(train_state.state(), default=lambda tensor: tensor.tolist(), sort_keys=True)
