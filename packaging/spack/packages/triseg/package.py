"""triseg for Spack, from the checkout that this file lies in: `spack repo add packaging/spack && spack install triseg`.
It has not been run: no Spack was at hand. Versions are the oldest that triseg is built with, Debian 12's."""
from pathlib import Path

from spack.package import *

try:  # Spack 1.0 and later have the build systems there
    from spack_repo.builtin.build_systems.cmake import CMakePackage
    from spack_repo.builtin.build_systems.cuda import CudaPackage
except ImportError:
    pass


class Triseg(CMakePackage, CudaPackage):
    """Distributed search for step-shaped INT8 activations of quantized CNNs."""

    git = Path(__file__).resolve().parents[4].as_uri()
    license("Apache-2.0")

    version("main", branch="main")

    variant("onednn", default=True, description="Build the onednn engine")
    variant("train", default=False, description="Build triseg-train, which needs LibTorch")
    variant("python", default=True, description="Bring what triseg table and triseg report import")
    conflicts("cuda_arch=none", when="+cuda", msg="name the GPU's compute capability, as in cuda_arch=90")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("ninja", type="build")
    depends_on("gzip", type="build")
    depends_on("mpi")
    depends_on("hdf5@1.10:~mpi")
    depends_on("zlib-api")
    depends_on("openssl@3:")
    depends_on("spdlog@1.10:")
    depends_on("nlohmann-json@3.11:")
    depends_on("cli11@2.1:")
    depends_on("tomlplusplus@3.3:")
    depends_on("onednn@2.6:2", when="+onednn")
    depends_on("cuda@12:", when="+cuda")
    depends_on("nccl@2.14:", when="+cuda")
    depends_on("py-torch@1.13:", when="+train")
    depends_on("python@3.11:", type=("build", "run"))
    for package in ("py-h5py@3.7:", "py-numpy@1.24:", "py-pandas@1.5:"):
        depends_on(package, type=("build", "run"), when="+python")

    generator("ninja")

    def cmake_args(self):
        arguments = [
            self.define_from_variant("TRISEG_CUDA", "cuda"),
            self.define_from_variant("TRISEG_ONEDNN", "onednn"),
            self.define_from_variant("TRISEG_TRAINER", "train"),
            self.define("TRISEG_TESTS", False),
            self.define("TRISEG_BENCHMARKS", False),
            self.define("TRISEG_PYTHON", self.spec["python"].command.path if self.spec.satisfies("+python") else ""),
        ]
        if self.spec.satisfies("+cuda"):
            arguments.append(self.define("CMAKE_CUDA_ARCHITECTURES", self.spec.variants["cuda_arch"].value))
        if self.spec.satisfies("+train"):
            python_platlib = self.spec["py-torch"].package.module.python_platlib
            arguments.append(self.define("Torch_DIR", join_path(python_platlib, "torch", "share", "cmake", "Torch")))
        return arguments
