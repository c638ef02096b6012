#include <Python.h>

#include "headrace/state/cold_store_module.h"
#include "rocksdb/rocksdb_store_factory.h"

namespace {

headrace::ColdStoreModule cold_store_module{headrace::kColdStoreModuleAbi,
                                            &headrace::MakeRocksDbStoreFactory};

PyObject* ColdStore(PyObject*, PyObject*) {
  return PyCapsule_New(&cold_store_module, headrace::kColdStoreCapsuleName, nullptr);
}

PyMethodDef methods[] = {
    {"cold_store", ColdStore, METH_NOARGS, "What headrace._core makes RocksDB stores by."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    "_rocksdb",
    "RocksDB for headrace; loaded by headrace._core when a job asks for it.",
    -1,
    methods,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
};

}  // namespace

PyMODINIT_FUNC PyInit__rocksdb() { return PyModule_Create(&definition); }
