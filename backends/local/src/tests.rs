//! Tests of the whole directory: what survives, what is refused, what is reported.

mod damage;
mod fault_disk;
mod faults;
mod fixture;
mod group;
mod journal;
mod nearline_faults;
mod nearline_model;
mod nearline_packs;
mod nearline_reads;
mod objects;
mod recovery;
