namespace Rpal.Memory.Blocks;

/// <summary>How many blocks a message takes: follows from its length alone, for the sender as for the receiver.</summary>
/// <param name="Data">Data blocks.</param>
/// <param name="Lists">List blocks; 0 when one data block is enough.</param>
/// <param name="EntriesPerList">Indices that a list block has room for.</param>
internal readonly record struct ChainShape(int Data, int Lists, int EntriesPerList)
{
    /// <summary>False: the length is negative, or needs more blocks than the pool has.</summary>
    public static bool TryOf(BlockPool pool, long lengthBytes, out ChainShape shape)
    {
        int perList = pool.BlockBytes / sizeof(uint);
        shape = default;
        if (lengthBytes < 0 || lengthBytes > (long)pool.BlockCount * pool.BlockBytes)
        {
            return false;
        }

        int data = (int)Math.Max(1, (lengthBytes + pool.BlockBytes - 1) / pool.BlockBytes);
        int lists = data == 1 ? 0 : data <= perList ? 1 : 1 + (data - perList + perList - 2) / (perList - 1);
        shape = new ChainShape(data, lists, perList);
        return data + lists <= pool.BlockCount;
    }

    /// <summary>Entries that are used of a list: all, but for the last one's.</summary>
    public int EntriesOf(int list) => list < Lists - 1 ? EntriesPerList : Data - (Lists - 1) * (EntriesPerList - 1);
}
