namespace Rpal.Linux;

/// <summary>getrlimit(2): RLIMIT_*.</summary>
internal enum Resource
{
    Data = 2,
    Stack = 3,
    Processes = 6,
    Descriptors = 7,
    LockedMemory = 8,
    AddressSpace = 9,
}
