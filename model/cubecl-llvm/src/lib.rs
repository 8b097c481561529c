//! Stands in for CubeCL's LLVM backend.
//!
//! `cubecl-cuda` compiles kernels in one of two ways: CUDA C++ through NVRTC, or PTX through LLVM, and always builds both. The
//! real crate downloads an LLVM while it is built, which a robot without a network cannot. Vantage selects CUDA C++ (feature
//! `cpp` of `cubecl-cuda`), so that this crate gives the types that `cubecl-cuda` names and refuses to compile.

use cubecl_environment::backtrace::BackTrace;
use cubecl_core::ir::nvidia::SmArch;
use cubecl_core::prelude::KernelDefinition;
use cubecl_runtime::compiler::{CompilationError, Compiler};
use cubecl_runtime::kernel::BufferIOAttr;

pub mod nvptx {
    //! NVIDIA's PTX.
    pub mod ptx_version {
        //! Its versions.

        /// A version; none is ever chosen.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum PtxVersion {}

        impl PtxVersion {
            /// Never a version.
            pub fn for_driver(_driver: i32) -> Option<Self> {
                None
            }
        }

        impl core::fmt::Display for PtxVersion {
            fn fmt(&self, _: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match *self {}
            }
        }
    }
}

pub mod shared {
    //! What the targets share.
    pub mod lowered_features {
        //! Features of a device that LLVM could use.
        use cubecl_core::ir::DeviceProperties;

        /// A target.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum GpuTarget {
            /// NVIDIA.
            Nvptx,
        }

        /// Leaves the properties alone: only asked for when LLVM compiles.
        pub fn restrict_features(_properties: &mut DeviceProperties, _target: GpuTarget) {}
    }
}

/// A target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LlvmTarget {
    /// The host.
    #[default]
    Cpu,
    /// NVIDIA.
    Nvptx,
}

/// Refuses every kernel.
#[derive(Debug, Clone, Default)]
pub struct PlironCompiler {
    /// Its target.
    pub target: LlvmTarget,
}

/// Options that nothing reads.
#[derive(Debug, Clone, Default)]
pub struct PlironOptions {
    /// AMD architecture.
    pub arch: Option<()>,
    /// NVIDIA architecture.
    pub sm_arch: Option<SmArch>,
    /// PTX version.
    pub ptx_version: Option<nvptx::ptx_version::PtxVersion>,
    /// Layout of a kernel's parameters.
    pub grid_constants: bool,
}

/// A module; none is ever made.
#[derive(Debug, Clone)]
pub struct NvptxModule {
    /// PTX.
    pub ptx: Vec<core::ffi::c_char>,
    /// Name of the kernel.
    pub entrypoint: String,
    /// LLVM's own text.
    pub ir: String,
    /// Bytes.
    pub shared_memory_size: usize,
    /// Buffers.
    pub io: Vec<BufferIOAttr>,
}

/// What a compilation gives; none is ever made.
#[derive(Debug, Clone)]
pub enum PlironArtifact {
    /// A module.
    NvptxCode(NvptxModule),
    /// Anything else.
    Other,
}

impl core::fmt::Display for PlironArtifact {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a kernel of the LLVM backend, which is not part of this build")
    }
}

impl Compiler for PlironCompiler {
    type Representation = PlironArtifact;
    type CompilationOptions = PlironOptions;

    fn compile(&mut self, _: KernelDefinition, _: &PlironOptions) -> Result<PlironArtifact, CompilationError> {
        Err(CompilationError::Generic {
            reason: "the LLVM backend is not part of this build; build with cubecl's feature `cuda-cpp`".to_owned(),
            backtrace: BackTrace::capture(),
        })
    }

    fn extension(&self) -> &'static str {
        "ll"
    }

    fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}
