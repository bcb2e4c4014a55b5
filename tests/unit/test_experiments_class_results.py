"""Results by class: accuracies, their mean, and the confusion matrix."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from triptych.experiments.evaluation import class_results
from triptych.experiments.evaluation import test_accuracies as evaluate_scores


def test_each_class_counts_the_same_in_balanced_accuracy() -> None:
    labels = torch.tensor([0] * 90 + [1] * 10)
    results = class_results(torch.zeros(100, dtype=torch.int64), labels, 2)
    assert results["test_class_accuracies"] == [100.0, 0.0]
    assert results["test_balanced_accuracy"] == 50.0
    assert results["test_confusion"] == [[90, 0], [10, 0]]


def test_a_class_without_test_images_has_no_accuracy_and_does_not_count() -> None:
    results = class_results(torch.tensor([0, 2, 2]), torch.tensor([0, 2, 0]), 3)
    assert results["test_class_accuracies"] == [50.0, None, 100.0]
    assert results["test_balanced_accuracy"] == 75.0


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_the_confusion_matrix_counts_every_image_once(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = (torch.tensor(values) for values in zip(*pairs, strict=True))
    results = class_results(predicted, labels, 5)
    confusion = torch.tensor(results["test_confusion"])
    assert confusion.sum() == len(pairs)
    assert confusion.sum(dim=1).tolist() == torch.bincount(labels, minlength=5).tolist()
    right = 100 * (predicted == labels).double().mean().item()
    assert 100 * confusion.diagonal().sum().item() / len(pairs) == pytest.approx(right)


def test_the_scores_of_many_classes_have_no_matrix() -> None:
    results = evaluate_scores(torch.eye(21), torch.arange(21))
    assert results["test_top1_accuracy"] == results["test_balanced_accuracy"] == 100.0
    assert "test_confusion" not in results
