/* How a C program gets at the functions of matching_core.h: cpx_import, once. It needs Python.h; nothing else does.
 *
 * Link with what `python -m matching_core.c_flags` prints. docs/guides/c.md has an example.
 */
#ifndef CPX_MATCHING_CORE_API_H
#define CPX_MATCHING_CORE_API_H

#include <Python.h>

#include "matching_core.h"

#include <stdio.h>
#include <stdlib.h>

/* Start Python with the packages of $VIRTUAL_ENV if that is set. The program keeps its signals, its standard streams and
 * the lock is free afterwards. 0, or -1 with the reason on stderr. */
static inline int cpx_start_python(void) {
    const char *environment = getenv("VIRTUAL_ENV");
    char program[4096];
    PyConfig config;
    PyStatus status;
    PyConfig_InitPythonConfig(&config);
    config.install_signal_handlers = 0;
    config.configure_c_stdio = 0;
    status = PyStatus_Ok();
    if (environment != NULL && *environment != 0) {
        if ((size_t)snprintf(program, sizeof program, "%s/bin/python", environment) < sizeof program)
            status = PyConfig_SetBytesString(&config, &config.program_name, program);
        else
            status = PyStatus_Error("VIRTUAL_ENV is too long");
    }
    if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) {
        fprintf(stderr, "Python does not start: %s\n", status.err_msg ? status.err_msg : "no reason given");
        return -1;
    }
    (void)PyEval_SaveThread();
    return 0;
}

/* The table of the compiled engine, valid until the process ends; NULL with the reason on stderr. Starts Python where
 * it is not running, and may be called from any thread of a program where it is. Python is not needed afterwards. */
static inline const cpx_api *cpx_import(void) {
    const cpx_api *api = NULL;
    PyGILState_STATE lock;
    PyObject *module;
    if (!Py_IsInitialized() && cpx_start_python() != 0) return NULL;
    lock = PyGILState_Ensure();
    module = PyImport_ImportModule("matching_core.engine");
    if (module != NULL) api = (const cpx_api *)PyCapsule_Import("matching_core.engine.C_API", 0);
    if (api == NULL) PyErr_Print();
    Py_XDECREF(module);
    PyGILState_Release(lock);
    if (api != NULL && (api->version != CPX_API_VERSION || api->struct_size < sizeof(cpx_api))) {
        fprintf(stderr, "matching_core: the engine has C API version %u with %u bytes, this program needs %u with %u\n",
                (unsigned)api->version, (unsigned)api->struct_size, (unsigned)CPX_API_VERSION,
                (unsigned)sizeof(cpx_api));
        return NULL;
    }
    return api;
}

#endif
