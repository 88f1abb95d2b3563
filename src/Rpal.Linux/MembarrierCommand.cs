namespace Rpal.Linux;

/// <summary>membarrier(2): MEMBARRIER_CMD_*.</summary>
internal static class MembarrierCommand
{
    public const int Query = 0;
    public const int Global = 1;
    public const int PrivateExpedited = 8;
    public const int RegisterPrivateExpedited = 0x10;
    public const int PrivateExpeditedSyncCore = 0x20;
    public const int RegisterPrivateExpeditedSyncCore = 0x40;
    public const int PrivateExpeditedRseq = 0x80;
    public const int RegisterPrivateExpeditedRseq = 0x100;
}
