//! Links the distribution's vectorscan, statically, so that the daemon needs no package of it where it runs.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let library = pkg_config::Config::new()
        .cargo_metadata(false)
        .atleast_version("5.4")
        .probe("libhs");
    if let Err(error) = library {
        println!(
            "cargo::error=vectorscan (libhs) is not installed: run `cargo xtask setup`, or install libvectorscan-dev \
             (Ubuntu 22.04: libhyperscan-dev): {error}"
        );
        return;
    }
    match pkg_config::get_variable("libhs", "libdir") {
        Ok(directory) => println!("cargo:rustc-link-search=native={directory}"),
        Err(error) => println!("cargo::warning=no libdir of libhs: {error}"),
    }
    println!("cargo:rustc-link-lib=static=hs");
    println!("cargo:rustc-link-lib=stdc++");
}
