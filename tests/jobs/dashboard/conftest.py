from tests.jobs.admin.conftest import as_staff as as_staff
from tests.jobs.admin.conftest import operator as operator
