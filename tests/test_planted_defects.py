"""The planted defects fit the code as it is; `python tests/planted_defects.py` plants them."""

import pytest

from tests.planted_defects import DEFECTS, ROOT


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_its_text_is_in_the_package_once_and_its_tests_exist(defect):
    assert (ROOT / "loce_jax" / defect.file).read_text(encoding="utf-8").count(defect.good) == 1
    assert all((ROOT / "tests" / test.partition("::")[0]).exists() for test in defect.tests)
