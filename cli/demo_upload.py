"""What is dropped in the producers' buckets: a folder of <producer>/<data product>/<table>/.../files."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError
from tagmesh.catalog import Finding
from tagmesh.governance import DataProduct, Governance

from cli.demo_accounts import Place

UPLOADS_AT_ONCE = 4


class DataFolderError(Exception):
    """There is nothing to upload; the text says why."""


@dataclass(frozen=True)
class Upload:
    """One file, and its key: the data product's prefix, then the path below the data product's folder."""

    data_product: DataProduct
    file: Path
    key: str

    @property
    def folder(self) -> str:
        """The table's folder, for people; of a file that lies beside the tables, the data product's."""
        product = self.data_product
        table, below, _ = self.key.removeprefix(product.prefix).partition("/")
        return product.location + (f"{table}/" if below else "")


def plan_uploads(data: Path, governance: Governance) -> tuple[list[Upload], list[Finding]]:
    """What to upload, by key; and a finding for each folder that no governance file describes.

    Hidden files are left out. Raises DataFolderError if there is no such folder or nothing in it.
    """
    if not data.is_dir():
        raise DataFolderError(f"there is no folder {data}: give --data a folder with a folder for each producer")
    products = {(product.producer, product.name): product for product in governance.data_products}
    described = {producer.name for producer in governance.producers}
    uploads: list[Upload] = []
    findings: list[Finding] = []
    for producer in _folders(data):
        if producer.name not in described:
            findings.append(_undescribed(producer.name, f"a file producers/{producer.name}.yaml"))
            continue
        findings += [
            Finding(
                code="stray-file",
                subject=f"{producer.name}/{file.name}",
                message="a file beside the data products' folders belongs to none of them: it was not uploaded",
                mend=f"move it to {producer.name}/<data product>/<table>/",
            )
            for file in _files(producer)
        ]
        for folder in _folders(producer):
            product = products.get((producer.name, folder.name))
            if product is None:
                place = f"{producer.name}/{folder.name}"
                findings.append(_undescribed(place, f"a data product {folder.name} of {producer.name}"))
                continue
            uploads += [
                Upload(product, file, product.prefix + file.relative_to(folder).as_posix())
                for file in sorted(folder.rglob("*"))
                if _is_data(file)
            ]
    if not uploads and not findings:
        raise DataFolderError(f"{data} has no files to upload: lay it out <producer>/<data product>/<table>/.../files")
    return uploads, findings


def _folders(parent: Path) -> list[Path]:
    return sorted(each for each in parent.iterdir() if each.is_dir() and not each.name.startswith("."))


def _files(parent: Path) -> list[Path]:
    return sorted(each for each in parent.iterdir() if _is_data(each))


def _is_data(file: Path) -> bool:
    return file.is_file() and not file.name.startswith(".")


def _undescribed(place: str, wanted: str) -> Finding:
    return Finding(
        code="undescribed-folder",
        subject=place,
        message="no governance file describes this folder: nothing of it was uploaded",
        mend=f"add {wanted} to the governance files, or take the folder away",
    )


def upload_all(uploads: list[Upload], place: Place) -> Iterator[tuple[Upload, Exception | None]]:
    """Put every file into its bucket with its producer's credentials; each upload with its error, if any."""

    def upload(each: Upload) -> tuple[Upload, Exception | None]:
        s3 = place.administrator(each.data_product.account).client("s3")
        try:
            s3.upload_file(str(each.file), each.data_product.bucket, each.key)
        except (S3UploadFailedError, ClientError, OSError) as error:
            return each, error
        return each, None

    with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
        yield from pool.map(upload, uploads)
